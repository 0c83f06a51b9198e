"""Checks that the entries of expected failures keep what they promise, in a run as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..calls import refused
from ..plan import planned
from ..subjects import Subject
from ..whole import WHOLE_CHECKS
from .rows import Done, Row, unexpected
from .xfails import Xfail, Xfails

__all__ = ["Promise", "about_nothing", "promises_of", "unkept"]


@dataclass(frozen=True, slots=True)
class Promise:
    """One entry, named as by `Xfails.name`, and the backends that it is for.

    `possible` says whether it is about anything that they take, at any level.
    """

    name: str
    entry: Xfail
    backends: list[str]
    possible: bool


def promises_of(subjects: Sequence[Subject], xfails: Xfails) -> list[Promise]:
    """Return the entries of a file, for backends on their devices."""
    backends = list(dict.fromkeys(subject.backend for subject in subjects))
    impossible = _impossible([subject for subject in subjects if subject.missing is None], xfails)
    return [Promise(xfails.name(entry), entry, backends, entry not in impossible) for entry in xfails.entries]


def _impossible(able: Sequence[Subject], xfails: Xfails) -> list[Xfail]:
    if not able:
        return []  # nothing is known of what it takes
    left = [entry for entry in xfails.entries if not any(entry.matches(name, "") for name in WHOLE_CHECKS)]
    for subject in able:
        for problem, checks in planned("full", subject).items():
            if not left:
                return []
            about = [e for e in left if any(e.matches(check, str(problem)) for check in checks)]
            if about and refused(subject.backend, problem) is None:
                left = [entry for entry in left if entry not in about]
    return left


def about_nothing(promises: Sequence[Promise], done: Sequence[Done]) -> list[str]:
    """Return the names of the entries that are about nothing.

    An entry may be about random problems only; of these one that failed tells.
    """
    return [p.name for p in promises if not p.possible and not _rows(p, done)]


def unkept(promises: Sequence[Promise], done: Sequence[Done]) -> Iterator[Done]:
    """Yield, as something that a test could have found, each pattern of which no problem failed.

    What is said of one problem alone, its test has judged.
    """
    for promise in promises:
        about = _rows(promise, done)
        outcomes = {row.outcome for _, row in about}
        if promise.entry.is_pattern and "passed" in outcomes and outcomes.isdisjoint(("xfailed", "xpassed")):
            one, row = next((one, row) for one, row in about if row.outcome == "passed")
            entry, detail = promise.entry, unexpected(promise.name)
            stale = Row(entry.problem, "", "", entry.check, "xpassed", None, detail, row.command)
            yield Done(one.subject, one.backend, one.level, one.seed, True, [stale])


def _rows(promise: Promise, done: Sequence[Done]) -> list[tuple[Done, Row]]:
    """Return what an entry is about; of random problems, those that failed."""
    return [
        (one, row)
        for one in done
        if one.backend in promise.backends
        for row in one.rows
        if promise.entry.matches(row.check, row.problem)
        and (row.outcome == "xfailed" or (row.outcome != "declined" and not one.drawn))
    ]
