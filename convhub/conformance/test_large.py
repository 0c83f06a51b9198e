"""Problems larger than tiles and single threads take: threads, memory and exactness."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from convhub.conformance.subjects import Subject, reduced
from convhub.conformance.verify import Finding, verify
from convhub.problem import Problem

PROBLEMS = "large"
NAMES = [
    "random data",
    "exact integers",
    "every element",
    "no stale state",
    "small workspace",
    "any thread count",
    "many callers",
]


def test_large(subject: Subject, problem: Problem, report: Callable[[Iterable[Finding]], None]) -> None:
    """Keep the promises that size could break."""
    report(reduced(subject, problem) or verify(problem, subject.backend, checks=NAMES))
