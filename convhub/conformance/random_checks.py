"""Checks random problems by hypothesis, which finds the smallest problem that still fails."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis
from hypothesis import strategies as st

from ..problem import Problem
from .calls import refused, registered
from .problems.strategies import problems
from .subjects import SLOW_LIMIT, Subject, is_slow
from .trial import CheckFailure, Trial
from .verify import Finding, verify

__all__ = ["random_findings"]

NAMES = (
    "random data",
    "exact integers",
    "adjoint",
    "nonfinite",
    "any layout",
    "unchanged operands",
    "no stale state",
    "public functions",
)


def random_findings(
    subject: Subject, seed: int, count: int, is_expected: Callable[[Finding], bool]
) -> list[Finding]:
    """Check `count` random problems, the same ones for the same seed.

    Parameters
    ----------
    is_expected : callable
        Returns whether a failure is known; the search then goes on for others.

    Returns
    -------
    list of Finding
        If something fails unexpectedly, the last ones are those of the smallest such problem.
    """
    findings: list[Finding] = []
    smallest: list[Finding] = []
    backend = registered(subject.backend).backend
    drawn = problems(backend, subject.device, SLOW_LIMIT if is_slow(subject) else 10**6)

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        # A backend that supports few problems rejects most draws.
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(drawn, st.integers(0, 2**32 - 1))
    def check(problem: Problem, data_seed: int) -> None:
        hypothesis.assume(refused(subject.backend, problem) is None)
        found = verify(problem, subject.backend, data_seed, checks=NAMES)
        failed = [f for f in found if f.outcome == "failed" and not is_expected(f)]
        if failed:
            smallest[:] = failed
            raise CheckFailure(Trial(subject.backend, problem, data_seed, failed[0].check), failed[0].detail)
        if not smallest:
            findings.extend(found)

    try:
        check()
    except (CheckFailure, hypothesis.errors.Flaky):
        # Flaky: the problem failed once, but not again. It did fail.
        return findings + smallest
    except hypothesis.errors.Unsatisfiable:
        reason = "no random problem was drawn that the backend takes"
        return [Finding(subject.backend, None, "random problems", "skipped", None, reason, seed)]
    return findings
