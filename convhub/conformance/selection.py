"""Narrows a run of the suite down to some checks, or some problems."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from ..errors import ArgumentError, did_you_mean
from ..problem import Problem
from .plan import ORDINARY_CHECKS
from .report.xfails import is_pattern
from .suite import NAMES, RANDOM, Case

__all__ = ["Selection", "selection_of"]


class Selection(NamedTuple):
    """What a run is narrowed down to: checks, and problems or patterns over their texts; none means all."""

    checks: frozenset[str] = frozenset()
    problems: tuple[Problem | str, ...] = ()

    def of(self, cases: Sequence[Case]) -> list[Case]:
        """Return the cases of one backend that are selected, with the checks that are.

        A problem that no level has is a case of its own, with the checks that most problems have.
        """
        if not cases or cases[0].subject.missing is not None:
            return list(cases)  # the one that says so
        if self.problems:
            cases = list(self._of_problems(cases))
        if not self.checks:
            return list(cases)
        narrowed = [
            replace(case, checks=tuple(name for name in case.checks if name in self.checks)) for case in cases
        ]
        return [case for case in narrowed if case.checks]

    def _of_problems(self, cases: Sequence[Case]) -> Iterator[Case]:
        planned = {case.problem: case for case in cases if case.problem is not None}
        for problem in self.problems:
            if isinstance(problem, str):
                yield from (planned[p] for p in planned if fnmatch.fnmatchcase(str(p), problem))
            elif problem in planned:
                yield planned[problem]
            elif problem.device == cases[0].subject.device:
                yield replace(cases[0], problem=problem, checks=ORDINARY_CHECKS)


def selection_of(checks: Iterable[str], problems: Iterable[str]) -> Selection:
    """Return what texts select.

    Parameters
    ----------
    checks : iterable of str
        Names of checks, or that of the random problems.
    problems : iterable of str
        Texts of problems, or patterns over them.

    Raises
    ------
    ArgumentError
        If there is no such check, or a text is no problem.
    """
    names = frozenset(checks)
    known = (*NAMES, RANDOM)
    for name in names:
        if name not in known:
            near = did_you_mean(name, known)
            raise ArgumentError(f"the check is {name!r}; it must be one of {', '.join(known)}.{near}")
    return Selection(names, tuple(text if is_pattern(text) else Problem.parse(text) for text in problems))
