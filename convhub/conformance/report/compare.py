"""Compares a report of the suite with an earlier one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ...errors import ArgumentError
from .findings import Report, Tested
from .rows import Outcome

__all__ = ["GROWTH", "Change", "Comparison", "Growth", "compare"]

#: A worst error that grew by more than this factor is reported.
GROWTH = 2.0

#: The check name of a row that covers all checks of a problem.
EVERY = "every check"


class Change(NamedTuple):
    """One check of one problem, and its outcomes; "" if it was not tried."""

    subject: str
    problem: str
    check: str
    before: Outcome | str
    after: Outcome | str


class Growth(NamedTuple):
    """A worst error in units of its bound, before and after; None if it was not a number."""

    subject: str
    dtype: str
    primitive: str
    before: float | None
    after: float | None


@dataclass
class Comparison:
    """What changed, and `notes` on how the two runs themselves differ.

    `failing` fails now, and did not fail or was not tried before; `expected` fails now as an entry says, and
    passed before; `passing` passes now and failed before, expected or not; `skipped` had an outcome before.
    """

    failing: list[Change] = field(default_factory=list)
    expected: list[Change] = field(default_factory=list)
    passing: list[Change] = field(default_factory=list)
    skipped: list[Change] = field(default_factory=list)
    grown: list[Growth] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def compare(before: Report, after: Report) -> Comparison:
    """Return the changes from one report to a later one.

    Raises
    ------
    ArgumentError
        If they have no backend in common.
    """
    earlier = {tested.subject: tested for tested in before.tested}
    common = [(earlier[tested.subject], tested) for tested in after.tested if tested.subject in earlier]
    if not common:
        raise ArgumentError(
            f"the earlier report is of {', '.join(earlier) or 'nothing'}; it must be of "
            f"{', '.join(tested.subject for tested in after.tested) or 'a backend that was tested'}"
        )
    found = Comparison()
    for old, new in common:
        found.notes += _differences(old, new)
        for change in _changes(old, new):
            _sort_in(found, change)
        found.grown += _growths(old, new)
    if before.machine.cpu != after.machine.cpu:
        found.notes.append(f"the earlier report is from another machine: {before.machine.cpu}")
    return found


def _differences(old: Tested, new: Tested) -> Iterator[str]:
    for what in ("level", "seed", "version"):
        one, other = getattr(old, what), getattr(new, what)
        if one != other:
            yield f"{new.subject}: {what} was {one}, and is {other}"
    untried = sum(len(checks) for problem, checks in old.results.items() if problem not in new.results)
    if untried:
        yield f"{new.subject}: {untried} checks of the earlier report are of problems not tried now"


def _changes(old: Tested, new: Tested) -> Iterator[Change]:
    for problem, checks in new.results.items():
        earlier = old.results.get(problem, {})
        for check, outcome in checks.items():
            was = earlier.get(check, earlier.get(EVERY, ""))
            if check == EVERY and earlier.keys() - {EVERY}:
                was = "passed"  # or failed: there were outcomes, now there is none
            if was != outcome:
                yield Change(new.subject, problem, check, was, outcome)
    # Reports do not say which random problems were tried, only which failed.
    known = {(row.problem, row.check) for row in old.of("failed")}
    for row in new.of("failed"):
        if row.problem not in new.results and (row.problem, row.check) not in known:
            yield Change(new.subject, row.problem, row.check, "", "failed")


def _sort_in(found: Comparison, change: Change) -> None:
    answered = ("passed", "failed", "xfailed", "xpassed")
    if change.after == "failed":
        found.failing.append(change)
    elif change.after == "xfailed" and change.before != "failed":
        found.expected.append(change)
    elif change.after in ("passed", "xpassed") and change.before in ("failed", "xfailed"):
        found.passing.append(change)
    elif change.after in ("skipped", "declined") and change.before in answered:
        found.skipped.append(change)


def _growths(old: Tested, new: Tested) -> Iterator[Growth]:
    for dtype, by_primitive in new.worst.items():
        for primitive, ratio in by_primitive.items():
            earlier = old.worst.get(dtype, {})
            if primitive in earlier and _number(ratio) > GROWTH * _number(earlier[primitive]):
                yield Growth(new.subject, dtype, primitive, earlier[primitive], ratio)


def _number(ratio: float | None) -> float:
    return math.inf if ratio is None else ratio
