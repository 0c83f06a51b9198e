"""Prints for the commands: tables for people, errors in one line on stderr.

A terminal gets colours and lines of its width. A pipe or file gets neither: there a row of a table is
one line, however long, so that nothing is cut off and `grep` finds whole reasons.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..errors import ArgumentError, ArgumentTypeError, ConfigurationError, ConvhubError, UnknownBackendError
from .narrow import fitted

__all__ = [
    "FULL",
    "SHOWN",
    "drop_output",
    "exit_code",
    "listed",
    "new_console",
    "new_table",
    "print_error",
    "print_warning",
    "show",
    "show_rest",
    "unbroken",
    "words_of",
    "write",
]

#: Wider than any line; rich breaks lines of what is not a terminal at 80 columns otherwise.
UNBROKEN = 100_000

#: Of failures, of reasons to skip and the like, this many are shown; JSON has them all.
SHOWN = 10

#: Of a device or a file: that nothing more can be written there.
FULL = {errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EBADF, getattr(errno, "EDQUOT", errno.ENOSPC)}

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
        The columns that break, and how narrow each may become.
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
            for piece in fitted(part, console):
                console.print(piece, crop=False)
    # Rich fills the last column up with blanks; the longest reason would make every line as long.
    write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def show_rest(count: int, what: str) -> None:
    """Print how many of `count` things were not shown, since no more than `SHOWN` are."""
    if count > SHOWN:
        show(f"... and {count - SHOWN} more {what}; --json has all")


def write(text: str) -> None:
    """Write to standard output at once, so that a failure is met here and not when the program ends."""
    sys.stdout.write(text)
    sys.stdout.flush()


def print_error(error: Exception | str) -> None:
    """Print an error, or the message of one, to stderr."""
    _print_labelled("Error: ", "bold red", str(error))


def print_warning(message: object, *_: Any, **__: Any) -> None:
    """Print a warning to stderr; takes the arguments of `warnings.showwarning`, and needs the first only."""
    _print_labelled("Warning: ", "bold yellow", str(message))


def _print_labelled(label: str, style: str, message: str) -> None:
    # Soft wrapping leaves the breaking of lines to the terminal, so that a message can be copied whole.
    new_console(stderr=True).print(Text.assemble((label, style), message), soft_wrap=True)


def words_of(error: OSError) -> str:
    """Return what an error of the operating system says, with the file that it is about.

    Examples
    --------
    >>> words_of(OSError(28, "No space left on device")), words_of(OSError(13, "Permission denied", "/x"))
    ('output cannot be written: No space left on device', '/x: Permission denied')
    """
    said = error.strerror or str(error)
    if error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {said}"
    return f"output cannot be written: {said}" if error.errno in FULL else said


def drop_output() -> None:
    """Let what standard output still holds go nowhere, which Python would try to write at the end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):  # in a test it is no file
        return


def exit_code(error: ConvhubError) -> int:
    """Return 2 where what the user wrote is wrong, and 1 for anything else."""
    return 2 if isinstance(error, USER_ERRORS) else 1


def listed(items: Iterable[object], otherwise: str = "none") -> str:
    """Return the items divided by commas, or `otherwise` where there is none."""
    return ", ".join(map(str, items)) or otherwise
