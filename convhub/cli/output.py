"""Prints for the commands: tables for people, errors in one line on stderr.

A terminal gets colours and lines that fit its width. A pipe or file gets neither: each row of a table is
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
    "counted",
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

#: Wider than any line; without it, rich wraps lines at 80 columns if the output is not a terminal.
UNBROKEN = 100_000

#: At most this many failures, and reasons to skip, are shown; JSON has all of them.
SHOWN = 10

#: The errors that mean that a device or a file takes no more output.
FULL = {errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EBADF, getattr(errno, "EDQUOT", errno.ENOSPC)}

#: The errors in the command line or the configuration.
USER_ERRORS = (ArgumentError, ArgumentTypeError, ConfigurationError, UnknownBackendError)


def new_console(stderr: bool = False) -> Console:
    """Return a console on stdout or stderr that prints texts as they are, brackets and colons included."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else UNBROKEN
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def new_table(*headers: str, flexible: Mapping[str, int]) -> Table:
    """Return an empty table, in which some columns wrap their cells if the table is too wide.

    Parameters
    ----------
    *headers : str
        The headers of the columns.
    flexible : mapping of header to int
        The columns that wrap, and the least width of each.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for header in headers:
        least = flexible.get(header)
        table.add_column(header, overflow="fold", no_wrap=least is None, min_width=least)
    return table


def unbroken(text: str) -> RenderableType:
    """Return a text that is never wrapped, such as a command to copy."""
    # A group is used since `Console.print` makes a new text of each text that it gets, which may be wrapped.
    return Group(Text(text, no_wrap=True, overflow="ignore"))


def counted(number: int, what: str) -> str:
    """Return a number of things, as in "1 kernel" and "2 kernels"."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def show(*parts: RenderableType) -> None:
    """Print to stdout, one part after another, without trailing spaces."""
    console = new_console()
    with console.capture() as captured:
        for part in parts:
            for piece in fitted(part, console):
                console.print(piece, crop=False)
    # Rich pads the last column with spaces, so that every line would be as long as the longest reason.
    write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def show_rest(count: int, what: str) -> None:
    """Print how many of `count` things were not shown, since no more than `SHOWN` are."""
    if count > SHOWN:
        show(f"... and {count - SHOWN} more {what}; --json has all")


def write(text: str) -> None:
    """Write to standard output at once, so that a failure is raised here and not when the program ends."""
    sys.stdout.write(text)
    sys.stdout.flush()


def print_error(error: Exception | str) -> None:
    """Print an error, or the message of one, to stderr."""
    _print_labelled("Error: ", "bold red", str(error))


def print_warning(message: object, *_: Any, **__: Any) -> None:
    """Print a warning to stderr; takes the arguments of `warnings.showwarning`, and needs the first only."""
    _print_labelled("Warning: ", "bold yellow", str(message))


def _print_labelled(label: str, style: str, message: str) -> None:
    # With soft wrapping the terminal wraps lines, so that a message can be copied whole.
    new_console(stderr=True).print(Text.assemble((label, style), message), soft_wrap=True)


def words_of(error: OSError) -> str:
    """Return the message of an operating-system error, with its file.

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
    """Discard the buffered output, which Python would otherwise try to write at exit."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):  # in tests, standard output is not a file
        return


def exit_code(error: ConvhubError) -> int:
    """Return 2 for errors in the command line or the configuration, and 1 for all others."""
    return 2 if isinstance(error, USER_ERRORS) else 1


def listed(items: Iterable[object], otherwise: str = "none") -> str:
    """Return the items separated by commas, or `otherwise` if there are none."""
    return ", ".join(map(str, items)) or otherwise
