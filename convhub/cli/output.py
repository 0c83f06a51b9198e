"""What the commands print: tables for people, JSON for scripts, errors in one line on stderr.

A terminal gets colours and lines of its own width. A pipe or file gets neither: there a row of a table is
one line, however long, so that nothing is cut off and `grep` finds whole reasons.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeAlias

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..errors import ArgumentError, ArgumentTypeError, ConfigurationError, ConvhubError, UnknownBackendError

__all__ = [
    "JsonOption",
    "exit_code",
    "listed",
    "new_console",
    "new_table",
    "print_error",
    "print_json",
    "print_warning",
    "show",
    "unbroken",
]

JsonOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--json", help="Print JSON and nothing else on stdout; an error goes to stderr and the exit code."
    ),
]

#: Wider than any line; rich breaks lines of what is not a terminal at 80 columns otherwise.
UNBROKEN = 100_000

#: The errors that say that what the user wrote is wrong.
USER_ERRORS = (ArgumentError, ArgumentTypeError, ConfigurationError, UnknownBackendError)


def new_console(stderr: bool = False) -> Console:
    """Return a console on stdout or stderr that prints texts as they are, brackets and colons included."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else UNBROKEN
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def new_table(*headers: str, flexible: Mapping[str, int]) -> Table:
    """Return an empty table; where it is too wide, some columns break their cells into lines.

    Parameters
    ----------
    *headers : str
        Of the columns.
    flexible : mapping of header to int
        The columns that break, and how narrow each may become at the most.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for header in headers:
        least = flexible.get(header)
        table.add_column(header, overflow="fold", no_wrap=least is None, min_width=least)
    return table


def unbroken(text: str) -> RenderableType:
    """Return a text that stays in one line, however narrow the terminal: a command to copy."""
    # In a group, since `Console.print` makes a new text of each that it is given, which may be broken.
    return Group(Text(text, no_wrap=True, overflow="ignore"))


def show(*parts: RenderableType) -> None:
    """Print to stdout, one part after another, without blanks at the ends of lines."""
    console = new_console()
    with console.capture() as captured:
        for part in parts:
            console.print(part, crop=False)
    # Rich fills the last column up with blanks; the longest reason would make every line as long.
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    sys.stdout.flush()


def print_json(value: Any) -> None:
    """Print to stdout as JSON; dates, NaN and infinities, which TOML has and JSON lacks, become texts."""
    sys.stdout.write(json.dumps(_finite(value), indent=2, allow_nan=False, default=str) + "\n")
    sys.stdout.flush()


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def print_error(error: Exception | str) -> None:
    """Print an error, or the message of one, to stderr."""
    _print_labelled("Error: ", "bold red", str(error))


def print_warning(message: object, *_: Any, **__: Any) -> None:
    """Print a warning to stderr; takes the arguments of `warnings.showwarning`, and needs the first only."""
    _print_labelled("Warning: ", "bold yellow", str(message))


def _print_labelled(label: str, style: str, message: str) -> None:
    # Soft wrapping leaves the breaking of lines to the terminal, so that a message can be copied whole.
    new_console(stderr=True).print(Text.assemble((label, style), message), soft_wrap=True)


def exit_code(error: ConvhubError) -> int:
    """Return 2 where what the user wrote is wrong, and 1 for anything else."""
    return 2 if isinstance(error, USER_ERRORS) else 1


def listed(items: Iterable[object], otherwise: str = "none") -> str:
    """Return the items divided by commas, or `otherwise` where there is none."""
    return ", ".join(map(str, items)) or otherwise
