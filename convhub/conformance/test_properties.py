"""Random problems, by hypothesis; what fails is printed as the smallest problem that still does."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from convhub.conformance import plugin
from convhub.conformance.strategies import problems
from convhub.conformance.subjects import SLOW, SLOW_LIMIT, Subject, dtypes, speed
from convhub.conformance.trial import CheckFailure, Trial
from convhub.conformance.verify import Finding, verify
from convhub.problem import Problem

NAMES = [
    "random data",
    "exact integers",
    "adjoint",
    "nonfinite",
    "any layout",
    "unchanged operands",
    "no stale state",
    "public functions",
]


def test_random_problems(subject: Subject, request: pytest.FixtureRequest) -> None:
    """Keep the promises of the numbers on random problems."""
    measured = speed(subject)
    largest = SLOW_LIMIT if measured is not None and measured < SLOW else 10**6
    findings: list[Finding] = []

    @hypothesis.given(problems(dtypes(subject), subject.device, largest), st.integers(0, 2**32 - 1))
    def check(problem: Problem, seed: int) -> None:
        found = verify(problem, subject.backend, seed, checks=NAMES)
        findings.extend(found)
        for finding in found:
            if finding.outcome == "failed":
                raise CheckFailure(Trial(subject.backend, problem, seed, finding.check), finding.detail)

    try:
        check()
    finally:
        plugin.record(request, findings)
