"""Prints tables of numbers for people."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["captioned_table", "fraction", "heading", "line", "say"]

#: The widest paragraph in columns, however wide the terminal.
WIDTH = 100


def heading(console: Console, text: str) -> None:
    """Print the title of a part."""
    console.print()
    console.print(Text(text, style="bold underline"))
    console.print()


def line(console: Console, text: str) -> None:
    """Print a line unchanged, such as a path or a problem, and let the terminal break it."""
    console.print(Text(text), soft_wrap=True)


def say(console: Console, text: str, style: str = "") -> None:
    """Print a paragraph unchanged, brackets included."""
    console.print(Text(text, style=style), width=min(WIDTH, console.width))


def captioned_table(title: str, caption: str, *numbers: str) -> Table:
    """Return an empty table: a column of names, then columns of numbers with these headers."""
    table = Table(
        title=Text(title, style="bold"),
        caption=Text(caption, style="dim"),
        box=SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        pad_edge=False,
        min_width=72,
    )
    table.add_column("", no_wrap=True)
    for header in numbers:
        table.add_column(header, justify="right")
    return table


def fraction(value: float | None) -> Text:
    """Format a fraction of a bound, in red if it is above 1."""
    if value is None:
        return Text("·", style="dim")
    return Text(f"{value:.3f}", style="green") if value <= 1 else Text(f"{value:,.0f}", style="bold red")
