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
from .report.causes import words
from .report.rows import Done, Row, judged
from .report.xfails import Xfails
from .smallest import smallest
from .subjects import Subject, reduced
from .verify import CHECKS, Finding, run_check, verify
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
            smaller = [] if drawn else list(_smaller(self, rows))
        self.done = Done(str(self.subject), self.subject.backend, self.level, self.seed, drawn, rows, smaller)
        _report([*smaller, *rows])


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


#: The seconds of a search for a smaller problem, and how many searches a process makes for one backend.
SEARCH, SEARCHES = 3.0, 5
_searched: dict[str, set[tuple[str, str]]] = {}


def _smaller(case: Case, rows: list[Row]) -> Iterator[Row]:
    """Yield the first failure on the smallest problem that fails alike, if there is a smaller one.

    A cause for which a search was made already has none.
    """
    first = next((row for row in rows if row.outcome == "failed"), None)
    if first is None or case.problem is None:
        return
    searched = _searched.setdefault(str(case.subject), set())
    cause = first.check, words(first)
    if cause in searched or len(searched) >= SEARCHES:
        return
    searched.add(cause)

    def failure(problem: Problem) -> Row | None:
        if refused(case.subject.backend, problem) is not None:
            return None
        finding = run_check(first.check, problem, case.subject.backend, case.seed)
        (row,) = judged([finding], case.xfails, drawn=True)
        return row if row.outcome == "failed" and words(row) == cause[1] else None

    problem = smallest(case.problem, lambda one: failure(one) is not None, SEARCH)
    row = None if problem == case.problem else failure(problem)
    if row is not None:
        yield row


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
