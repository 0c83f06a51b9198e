"""Writes ``--json [FILE]``, the same in every command: to standard output, or to a file.

Options whose value may be omitted are not supported by click, nor by every version of typer, so the command
line is completed before they parse it: ``--json`` alone becomes ``--json=-``.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from typer.core import TyperCommand

from ..errors import ArgumentError
from .output import write

__all__ = ["STDOUT", "CommandWithJson", "JsonOption", "check_writable", "write_json", "write_text"]

#: Means standard output, as in most programs.
STDOUT = "-"


class CommandWithJson(TyperCommand):
    """A command whose ``--json`` needs no value.

    The next word is the file if it is ``-``, or has a dot or a slash, which no problem and no backend's name
    has; any other file name must be written ``--json=NAME``.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Complete the arguments, then read them."""
        return super().parse_args(ctx, list(_completed(args)))


def _completed(args: list[str]) -> list[str]:
    """Return the arguments with a value for each ``--json``.

    Examples
    --------
    >>> _completed(["--json", "n1c1h1w1_k1r1s1"]), _completed(["--json", "a.json"]), _completed(["--json"])
    (['--json=-', 'n1c1h1w1_k1r1s1'], ['--json=a.json'], ['--json=-'])
    """
    completed: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*completed, word, *rest]
        if word == "--json":
            follows = rest[0] if rest else ""
            named = follows == STDOUT or (not follows.startswith("-") and not {*"./\\"}.isdisjoint(follows))
            word = f"--json={rest.pop(0)}" if named else f"--json={STDOUT}"
        completed.append(word)
    return completed


def check_writable(option: str, file: str | os.PathLike[str]) -> None:
    """Refuse a file that could not be written, before the work begins.

    Raises
    ------
    ArgumentError
        Naming the option and the file.
    """
    path = Path(file).absolute()
    named = f"{option} is {str(file)!r}"
    if path.is_dir():
        raise ArgumentError(f"{named}, which is a folder; it must be a file")
    if not path.parent.is_dir():
        raise ArgumentError(f"{named}, whose folder does not exist")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ArgumentError(f"{named}, which may not be written")


def _checked(file: str | None) -> str | None:
    if file == "":
        raise ArgumentError("--json is ''; it must be the name of a file, or -")
    if file is not None and file != STDOUT:
        check_writable("--json", file)
    return file


JsonOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="[FILE]",
        callback=_checked,
        show_default=False,
        help="Write JSON to FILE too; with no FILE, or -, print JSON and nothing else.",
    ),
]


def write_json(value: Any, file: str) -> None:
    """Write a value as JSON; dates, NaN and infinities, which TOML has and JSON has not, become strings."""
    write_text(json.dumps(_finite(value), indent=2, allow_nan=False, default=str) + "\n", file)


def write_text(text: str, file: str) -> None:
    """Write a text to standard output or to a file."""
    if file == STDOUT:
        write(text)
        return
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:  # the error of a full disk does not name the file
        raise OSError(error.errno, error.strerror, file) from error


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
