"""Reads and writes reports as JSON files that carry the version of their format."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from .errors import ArgumentError

__all__ = ["as_json", "read_json", "write_json"]

T = TypeVar("T")


def as_json(report: Any) -> str:
    """Return a report, a dataclass, as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(report)).decode() + "\n"


def write_json(report: Any, path: Path) -> None:
    """Write a report as indented JSON."""
    path.write_text(as_json(report), encoding="utf-8")


def read_json(path: Path, kind: type[T], *, key: str, version: int, argument: str, command: str) -> T:
    """Read a report from JSON.

    Parameters
    ----------
    path : Path
        The file.
    kind : type
        The dataclass of the report.
    key, version
        The name of the field with the format's version, and which version can be read.
    argument : str
        The name of the file in messages.
    command : str
        The command that writes such files.

    Raises
    ------
    ArgumentError
        If the file cannot be read, has another version, or is no such report.
    """
    what = f"{argument} is {str(path)!r}"
    try:
        text = path.read_bytes()
        found = msgspec.json.decode(text, type=dict[str, msgspec.Raw]).get(key)
        if found is None or bytes(found) != str(version).encode():
            written = "none" if found is None else bytes(found).decode(errors="replace")
            raise ArgumentError(f"{what}, whose {key} is {written}; it must be {version}")
        return msgspec.json.decode(text, type=kind)
    except OSError as error:
        raise ArgumentError(f"{what}, which cannot be read: {error}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise ArgumentError(f"{what}; it must be what `{command}` wrote: {error}") from error
