"""Forked processes: on problems that threads are given, after these have been at work."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from convhub.conformance.subjects import Subject, reduced
from convhub.conformance.verify import Finding, verify
from convhub.problem import Problem

PROBLEMS = "forked"
NAMES = ["any thread count", "many callers", "after fork"]


def test_fork(subject: Subject, problem: Problem, report: Callable[[Iterable[Finding]], None]) -> None:
    """Keep the promise of equal bits in a child process."""
    report(reduced(subject, problem) or verify(problem, subject.backend, checks=NAMES))
