"""Folds failures that have one cause, and puts the smallest problem first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ...problem import PRIMITIVES, Problem
from .rows import Row

__all__ = ["Cause", "causes", "words"]


class Cause(NamedTuple):
    """Failures that seem to have one cause.

    Attributes
    ----------
    first : Row
        The first failure on the smallest problem.
    checks : tuple of str
        The other checks that fail on the smallest problem of the suite.
    problems : int
        How many other problems fail alike.
    """

    first: Row
    checks: tuple[str, ...]
    problems: int


def causes(rows: Iterable[Row], smallest: Sequence[Row] = ()) -> list[Cause]:
    """Return the causes of failures, that of the smallest problem first.

    The checks that fail on one problem count as one failure, of which the first check tells most. Problems
    fail alike if that check fails with the same words, numbers apart.

    Parameters
    ----------
    rows : iterable of Row
        Failures, in the order of the checks.
    smallest : sequence of Row
        Failures on smaller problems, which are shown in place of those of which they are the smallest.
    """
    by_problem: dict[str, list[Row]] = {}
    for row in rows:
        # A check of the backend as a whole stands for itself.
        by_problem.setdefault(row.problem or row.check, []).append(row)
    alike: dict[tuple[str, str], list[list[Row]]] = {}
    for failed in by_problem.values():
        alike.setdefault((failed[0].check, words(failed[0])), []).append(failed)
    found = []
    for key, problems in alike.items():
        cause = _cause(problems)
        smaller = [row for row in smallest if (row.check, words(row)) == key]
        if smaller:
            cause = cause._replace(first=min(smaller, key=_size), problems=len(problems))
        found.append(cause)
    return sorted(found, key=lambda cause: _size(cause.first))


def _cause(problems: list[list[Row]]) -> Cause:
    first, *others = min(problems, key=lambda failed: _size(failed[0]))
    checks = dict.fromkeys(row.check for row in others if row.check != first.check)
    return Cause(first, tuple(checks), len(problems) - 1)


def _size(row: Row) -> tuple[int, int, str]:
    """Return what failures are ordered by: the work of the problem, and how many parameters it has."""
    if not row.problem:
        return 0, 0, ""
    return Problem.parse(row.problem).macs, len(row.problem), row.problem


def words(row: Row) -> str:
    """Return what a failure says, without the problem and numbers, which differ from problem to problem."""
    text = re.sub(rf"\b({'|'.join(PRIMITIVES)})_\w+", "#", row.detail)
    return re.sub(r"[-+]?\b(\d[\w.+-]*|nan|inf)", "#", text)
