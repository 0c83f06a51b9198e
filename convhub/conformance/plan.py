"""Assigns checks to the problems of a level."""

from __future__ import annotations

from ..problem import Problem
from ..reference.bounds import LONG
from .author import Level
from .levels import problems
from .problems import cases
from .subjects import BOTH, Subject
from .verify import CHECKS

__all__ = ["planned"]

#: From this many multiply-accumulates on, only checks that size could break are run.
LARGE = 10**6

#: Forking for each problem is slow, and finds no more faults than the problems of `cases.forked` do.
ORDINARY_CHECKS = tuple(name for name in CHECKS if name not in ("after fork", "long sums"))
#: The checks of problems with long sums; no other check depends on a sum's length.
LONG_CHECKS = ("long sums",)
LARGE_CHECKS = (
    "random data",
    "exact integers",
    "every element",
    "no stale state",
    "small workspace",
    "any thread count",
    "many callers",
)
#: The fork comes last, since it matters most after threads have worked.
FORK_CHECKS = ("any thread count", "many callers", "after fork")


def planned(level: Level, subject: Subject) -> dict[Problem, tuple[str, ...]]:
    """Return the names of the checks for each problem of a level."""
    plan = {
        problem: LONG_CHECKS
        if problem.terms >= LONG
        else LARGE_CHECKS
        if problem.macs >= LARGE
        else ORDINARY_CHECKS
        for problem in problems(level, subject)
    }
    for problem in cases.forked(BOTH, subject.device):
        plan[problem] = tuple(dict.fromkeys((*plan.get(problem, ()), *FORK_CHECKS)))
    return plan
