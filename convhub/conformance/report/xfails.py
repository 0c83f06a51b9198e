"""Reads the failures known to a backend's authors from a file: one entry for each kind of failure.

::

    [[xfail]]
    check = "nonfinite"             # the name of a check, or "*": any of them
    problem = "forward_float32_*"   # a pattern over the text of the problem; left out, every problem
    reason = "NaN is lost in padding; our issue 12"

An entry for one problem promises that the check fails there; one with a pattern, that it fails on at least
one of the problems that match. An entry that does not keep its promise is out of date, which is a failure
too: so entries are removed together with their faults.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ...errors import ArgumentError, did_you_mean, short_repr
from ...problem import Problem

__all__ = ["ANY", "Xfail", "Xfails", "is_pattern", "read_xfails"]

#: Matches every check, and in a pattern any text.
ANY = "*"


def is_pattern(text: str) -> bool:
    """Return whether a text may match the texts of several problems."""
    return not set(text).isdisjoint("*?[")


@dataclasses.dataclass(frozen=True, slots=True)
class Xfail:
    """One entry: `check` is expected to fail on the problems whose text `problem` matches, for `reason`."""

    check: str
    reason: str
    problem: str = ANY

    @property
    def is_pattern(self) -> bool:
        """Whether it may match several problems."""
        return is_pattern(self.problem)

    def matches(self, check: str, problem: str) -> bool:
        """Return whether this entry matches a check of a problem, given as its text.

        Checks of the backend as a whole have no problem, and are matched by their names only.
        """
        if not problem:
            return self.check == check and self.problem == ANY
        return self.check in (ANY, check) and fnmatch.fnmatchcase(problem, self.problem)

    def __str__(self) -> str:
        where = "" if self.problem == ANY else f" on {self.problem!r}"
        return f"{self.check!r}{where} ({self.reason})"


@dataclasses.dataclass(frozen=True, slots=True)
class Xfails:
    """The entries of a file, in order; none if there is no file."""

    path: str = ""
    entries: tuple[Xfail, ...] = ()

    def expecting(self, check: str, problem: str) -> Xfail | None:
        """Return the first entry that matches a check of a problem, or None."""
        return next((entry for entry in self.entries if entry.matches(check, problem)), None)

    def name(self, entry: Xfail) -> str:
        """Return an entry's name in errors: the file, the number, and what it matches."""
        return f"{self.path}: entry {self.entries.index(entry) + 1}, {entry}"


def read_xfails(path: Path, checks: Collection[str]) -> Xfails:
    """Read a file of expected failures.

    Parameters
    ----------
    path : Path
    checks : collection of str
        The names that an entry may have as its check.

    Raises
    ------
    ArgumentError
        If the file cannot be read, or something in it is wrong; the message names the file, the entry and
        what would be right.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentError(f"{path} cannot be read: {error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArgumentError(f"{path} is not valid TOML: {error}") from error
    except RecursionError as error:
        raise ArgumentError(f"{path} is nested too deeply; entries are tables [[xfail]]") from error
    tables = document.pop("xfail", [])
    for word in document:
        near = did_you_mean(word, ["xfail"])
        raise ArgumentError(f"{path} has {word!r} at the top; it must hold tables [[xfail]] only.{near}")
    if not isinstance(tables, list):
        raise ArgumentError(f"{path}: xfail is {short_repr(tables)}; write each entry as a table [[xfail]]")
    entries: list[Xfail] = []
    for number, table in enumerate(tables, start=1):
        entry = _entry(f"{path}: entry {number}", table, checks)
        if entry in entries:
            raise ArgumentError(f"{path}: entry {number} is entry {entries.index(entry) + 1} once more")
        entries.append(entry)
    return Xfails(str(path), tuple(entries))


def _entry(where: str, table: Any, checks: Collection[str]) -> Xfail:
    keys: Sequence[str] = ("check", "problem", "reason")
    if not isinstance(table, Mapping):
        raise ArgumentError(
            f"{where} is {short_repr(table)}; it must be a table [[xfail]] with {', '.join(keys)}"
        )
    for key in sorted(table.keys() - set(keys)):
        raise ArgumentError(
            f"{where} has the key {key!r}; an entry has {', '.join(keys)}.{did_you_mean(key, keys)}"
        )
    for key, right in (
        ("check", f'the name of a check, or "*": {", ".join(checks)}'),
        ("reason", 'a text that says why it fails, such as "NaN is lost in padding; our issue 12"'),
    ):
        if key not in table:
            raise ArgumentError(f"{where} has no {key}; it must be {right}")
    try:
        entry = msgspec.convert(table, Xfail)
    except msgspec.ValidationError as error:
        raise ArgumentError(f"{where} is {short_repr(table)}: {error}") from error
    if not entry.reason.strip():
        raise ArgumentError(f"{where} has an empty reason; it must say why it fails")
    if entry.check != ANY and entry.check not in checks:
        raise ArgumentError(
            f'{where}: check is {entry.check!r}; it must be "*" or one of {", ".join(checks)}.'
            + did_you_mean(entry.check, checks)
        )
    if entry.is_pattern:
        return entry
    try:
        return dataclasses.replace(entry, problem=str(Problem.parse(entry.problem)))
    except ArgumentError as error:
        raise ArgumentError(f"{where}: problem is {entry.problem!r}: {error}") from error
