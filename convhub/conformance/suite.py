"""Defines the suite's tests: one for each problem with all its checks, and a few for the whole backend."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..config import current
from ..problem import Problem
from .author import Level
from .calls import refused, settings
from .plan import planned
from .report.rows import Done, Row, judged
from .report.xfails import Xfails
from .subjects import Subject, reduced
from .verify import CHECKS, Finding, verify
from .whole import WHOLE_CHECKS, check_whole

__all__ = ["NAMES", "Case", "cases_of", "side_by_side"]

#: The names of all checks, as entries of expected failures use them.
NAMES = (*CHECKS, *WHOLE_CHECKS)

#: The name of the test of random problems, and how many it draws at each level.
RANDOM = "random problems"
DRAWN: dict[Level, int] = {"quick": 20, "full": 60}


@dataclass(eq=False, slots=True)
class Case:
    """One test of the suite: call it to run the checks.

    The call fails or skips the calling test, or marks it as an expected failure, in pytest's way; `done` then
    has the findings. `problem` is None if `checks` is one check of the backend as a whole, or `RANDOM`.
    """

    subject: Subject
    problem: Problem | None
    checks: tuple[str, ...]
    level: Level
    seed: int
    xfails: Xfails
    done: Done | None = None

    def __str__(self) -> str:
        name = self.checks[0].replace(" ", "_") if self.problem is None else self.problem
        return f"{self.subject}-{name}"

    def __call__(self) -> None:
        """Run the checks, and report to pytest."""
        drawn = RANDOM in self.checks
        with _circumstances(self.subject):
            rows = judged(_findings(self), self.xfails, drawn)
        self.done = Done(str(self.subject), self.subject.backend, self.level, self.seed, drawn, rows)
        _report(rows)


@contextlib.contextmanager
def _circumstances(subject: Subject) -> Iterator[None]:
    """Put the subject's own options in force, and switch fallback off, whatever is configured."""
    with contextlib.ExitStack() as stack:
        if subject.options:
            stack.enter_context(settings(options=subject.options))
        if current().settings.fallback:
            stack.enter_context(settings(fallback="false"))
        yield


def _findings(case: Case) -> list[Finding]:
    subject, problem, seed = case.subject, case.problem, case.seed
    about = Finding(subject.backend, problem, "every check", "skipped", None, "", seed)
    if subject.missing is not None:
        return [about._replace(detail=subject.missing)]
    if problem is not None:
        reason = refused(subject.backend, problem)
        if reason is not None:
            return [about._replace(outcome="declined", detail=reason)]
        return reduced(subject, problem) or verify(problem, subject.backend, seed, checks=case.checks)
    if RANDOM in case.checks:
        from .random_checks import random_findings  # imports hypothesis

        def is_expected(finding: Finding) -> bool:
            return case.xfails.expecting(finding.check, str(finding.problem)) is not None

        return random_findings(subject, seed, DRAWN[case.level], is_expected)
    return [check_whole(name, subject, seed) for name in case.checks]


def _report(rows: list[Row]) -> None:
    """Fail, skip or mark the running test."""
    import pytest

    wrong = [row for row in rows if row.outcome in ("failed", "xpassed")]
    if wrong:
        pytest.fail("\n".join(f"{row.check}: {row.detail}\n  {row.command}" for row in wrong), pytrace=False)
    for row in rows:
        if row.outcome == "xfailed":
            pytest.xfail(f"{row.check}: {row.detail}")
    if all(row.outcome in ("skipped", "declined") for row in rows):
        pytest.skip(rows[0].detail if rows else "nothing to check")


def cases_of(subject: Subject, level: Level, seed: int, xfails: Xfails) -> list[Case]:
    """Return the tests of a backend on a device; a single one, to be skipped, if it cannot run here."""
    if subject.missing is not None:
        return [Case(subject, None, ("availability",), level, seed, xfails)]
    found = [Case(subject, None, (name,), level, seed, xfails) for name in WHOLE_CHECKS]
    plan = planned(level, subject)
    found += [Case(subject, problem, plan[problem], level, seed, xfails) for problem in plan]
    # They come last: a fault that ends the process should first occur on a problem that a test's name shows.
    return [*found, Case(subject, None, (RANDOM,), level, seed, xfails)]


def side_by_side(cases: Sequence[Case]) -> list[Case]:
    """Order tests so that those of one problem are adjacent, and share the oracle's cached result."""
    order: dict[object, int] = {}
    for case in cases:
        order.setdefault(case.problem or case.checks, len(order))
    return sorted(cases, key=lambda case: order[case.problem or case.checks])
