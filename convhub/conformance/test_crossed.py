"""Every check on problems in which all parameters meet: sizes, groups, stride, dilation, padding, dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from convhub.conformance.subjects import Subject, reduced
from convhub.conformance.verify import CHECKS, Finding, verify
from convhub.problem import Problem

PROBLEMS = "crossed"
#: A fork for each problem takes long, and finds nothing that `test_fork` does not.
NAMES = [name for name in CHECKS if name != "after fork"]


def test_crossed(subject: Subject, problem: Problem, report: Callable[[Iterable[Finding]], None]) -> None:
    """Keep every promise on crossed parameters."""
    report(reduced(subject, problem) or verify(problem, subject.backend, checks=NAMES))
