"""Every check on named edges: extreme sizes, kernels, strides, paddings, groups and batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from convhub.conformance.subjects import Subject, reduced
from convhub.conformance.verify import CHECKS, Finding, verify
from convhub.problem import Problem

PROBLEMS = "edges"
#: A fork for each problem takes long, and finds nothing that `test_fork` does not.
NAMES = [name for name in CHECKS if name != "after fork"]


def test_edge(subject: Subject, problem: Problem, report: Callable[[Iterable[Finding]], None]) -> None:
    """Keep every promise on an edge."""
    report(reduced(subject, problem) or verify(problem, subject.backend, checks=NAMES))
