"""Prints the report of ``convhub bench``: a table of classes for each primitive, and layers on request."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ...bench.formatting import (
    CLASS_HEADERS,
    LAYER_HEADERS,
    MEMORY,
    class_cells,
    facts,
    host_bound,
    layer_cells,
    not_compared,
    theirs,
    totals,
)
from ...bench.results import Report
from ...bench.summary import ClassSummary, Summary, summaries
from ..output import new_table, show

__all__ = ["show_report"]


def show_report(report: Report, *, layers: bool) -> None:
    """Print a report; with `layers`, also each layer."""
    for summary in summaries(report.rows):
        title = f"{summary.title}, memory {summary.memory}"
        show(Text.assemble((title, "bold"), f" ({MEMORY[summary.memory]})"))
        if layers:
            show(_layers(summary))
        if len(summary.rows) > 1 or not layers:
            show(_classes(summary, theirs(report.settings)))
        below = (*totals(summary, report.settings), *host_bound(summary.rows), *not_compared(summary.rows))
        show(*map(Text, below), "")
    show(*(Text(line, style="dim") for line in facts(report)))


def _classes(summary: Summary, other: str) -> Table:
    headers = [header.format(other) for header in CLASS_HEADERS]
    table = _numbers(new_table(*headers, flexible={"Class": 8}), 1)
    for found in summary.classes:
        table.add_row(*_coloured(class_cells(found), 2, _ratio(found)))
    return table


def _ratio(found: ClassSummary) -> float | None:
    return found.ratio


def _layers(summary: Summary) -> Table:
    table = _numbers(new_table(*LAYER_HEADERS, flexible={"Class": 6, "Problem": 20, "Call": 8}), 4)
    for row in summary.rows:
        table.add_row(*_coloured(layer_cells(row), 6, row.ratio))
    return table


def _numbers(table: Table, first: int) -> Table:
    """Return the table with its columns right-aligned, from column `first` on."""
    for column in table.columns[first:]:
        column.justify = "right"
    return table


def _coloured(cells: Sequence[str], index: int, ratio: float | None) -> list[str | Text]:
    """Return the cells with the ratio in green if it is one or more, otherwise in red."""
    coloured: list[str | Text] = list(cells)
    if ratio is not None:
        coloured[index] = Text(cells[index], style="green" if ratio >= 1 else "red")
    return coloured
