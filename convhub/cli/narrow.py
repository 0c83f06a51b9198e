"""Fits tables to a narrow terminal: wraps their headers, or turns each row into a few lines."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

__all__ = ["fitted", "grid_of_two"]


def grid_of_two() -> Table:
    """Return an empty grid: names, and what belongs to them, broken into lines where it is too long."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def fitted(part: RenderableType, console: Console) -> list[RenderableType]:
    """Return what to print for `part`: for a table with headers, no line wider than the console.

    Parameters
    ----------
    part : rich.console.RenderableType
        The cells of a table are texts, and the table may be changed.
    console : rich.console.Console
        Where it will be printed.
    """
    if not isinstance(part, Table) or not part.show_header or _fits(part, console):
        return [part]
    table = part
    for column in table.columns:
        if column.no_wrap:
            cells = [cell_len(str(cell)) for cell in column.cells]
            column.no_wrap = False
            column.width = max([*cells, *map(len, str(column.header).split())], default=1)
    return [table] if _fits(table, console) else _rows(table)


def _fits(table: Table, console: Console) -> bool:
    """Return whether no cell would be cut off, which rich does not report."""
    widths = [
        max([column.width or column.min_width or 0, *map(_least, [column.header, *column.cells])])
        if column.no_wrap
        else column.width or column.min_width or 1
        for column in table.columns
    ]
    # Each column has a space and a separator, which is a space here, and there is one more space at the left.
    return sum(widths) + 2 * len(widths) + 1 <= console.width


def _least(cell: object) -> int:
    return max(map(cell_len, str(cell).splitlines()), default=0)


def _rows(table: Table) -> list[RenderableType]:
    """Return each row as its first cell, with one line below it for each other cell."""
    headers = [str(column.header) for column in table.columns]
    parts: list[RenderableType] = []
    for first, *others in zip(*(column.cells for column in table.columns), strict=True):
        grid = grid_of_two()
        for header, cell in zip(headers[1:], others, strict=True):
            if str(cell):
                grid.add_row(f"  {header}", cell)
        parts += [first if isinstance(first, Text) else Text(str(first)), grid]
    return ["", *parts, ""]
