"""Checks that each entry of expected failures keeps its promise in a run as a whole."""

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
    """One entry, named as by `Xfails.name`, and the backends it applies to.

    `possible` says whether it matches any problem that they support, at any level.
    """

    name: str
    entry: Xfail
    backends: list[str]
    possible: bool


def promises_of(subjects: Sequence[Subject], xfails: Xfails) -> list[Promise]:
    """Return a file's entries as promises, for backends on their devices."""
    backends = list(dict.fromkeys(subject.backend for subject in subjects))
    impossible = _impossible([subject for subject in subjects if subject.missing is None], xfails)
    return [Promise(xfails.name(entry), entry, backends, entry not in impossible) for entry in xfails.entries]


def _impossible(able: Sequence[Subject], xfails: Xfails) -> list[Xfail]:
    if not able:
        return []  # it is unknown what the backends support
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
    """Return the names of the entries that match nothing.

    An entry may match random problems only; then one of these must have failed.
    """
    return [p.name for p in promises if not p.possible and not _rows(p, done)]


def unkept(promises: Sequence[Promise], done: Sequence[Done]) -> Iterator[Done]:
    """Yield each pattern of which no problem failed, in the form of a test's findings.

    Entries for one problem have been judged by that problem's test.
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
    """Return the rows that an entry matches; of random problems, only those that failed."""
    return [
        (one, row)
        for one in done
        if one.backend in promise.backends
        for row in one.rows
        if promise.entry.matches(row.check, row.problem)
        and (row.outcome == "xfailed" or (row.outcome != "declined" and not one.drawn))
    ]
