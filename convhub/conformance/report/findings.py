"""Collects the findings of a run of the suite, as data to write to JSON, read back and compare."""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ... import backend as contract
from ...dispatch.dispatcher import current_dispatcher
from ...problem import ITEM_BYTES
from ...system.machine import Machine, this_machine
from ...system.versions import versions
from ...versioned_json import read_json
from .rows import OUTCOMES, Done, Outcome, Row

__all__ = ["SCHEMA", "Report", "Tested", "build_report", "read_report"]

#: The version of the JSON file's schema; a report that is read must have the same.
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Tested:
    """The findings about one backend on one device, under one choice of its own options.

    Parameters
    ----------
    subject : str
        Its name in test ids: ``"mine"``, ``"mine-cuda"``, ``"mine.option=1"``.
    backend, distribution, version : str
        The backend and its origin.
    level, seed
        What was tried.
    counts : dict
        How many rows have each outcome; see `convhub.conformance.report.rows.Outcome`.
    checks : dict
        The same counts for each check.
    worst : dict
        The worst error in units of its bound, by dtype and primitive; None if a result was not a number.
    reasons : dict
        Why problems were declined and checks skipped, with the count of each reason.
    noted : list of Row
        The rows that failed, expectedly or not, or passed unexpectedly.
    smallest : list of Row
        Failures on smaller problems, for some of those noted.
    results : dict
        The outcome of each check of each problem that was not drawn at random, for comparing.
    """

    subject: str
    backend: str
    distribution: str
    version: str
    level: str
    seed: int
    counts: dict[Outcome, int]
    checks: dict[str, dict[Outcome, int]]
    worst: dict[str, dict[str, float | None]]
    reasons: dict[str, dict[str, int]]
    noted: list[Row]
    results: dict[str, dict[str, Outcome]]
    smallest: list[Row] = field(default_factory=list)

    @property
    def checked(self) -> int:
        """How many checks had an outcome."""
        return sum(self.counts[outcome] for outcome in ("passed", "failed", "xfailed", "xpassed"))

    def of(self, outcome: Outcome) -> list[Row]:
        """Return the noted rows with an outcome."""
        return [row for row in self.noted if row.outcome == outcome]


@dataclass(frozen=True, slots=True)
class Report:
    """A run of the suite: the backends tested, the machine, and the findings.

    `contract` is the version of the contract with backends, if this release has one; `errors` are failures
    that belong to no single check, such as an expected failure that matches nothing.
    """

    convhub: str
    contract: int | None
    date: str
    seconds: float
    machine: Machine
    tested: list[Tested] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    schema: int = SCHEMA

    @property
    def failed(self) -> bool:
        """Whether anything is wrong."""
        return bool(self.errors) or any(t.counts["failed"] or t.counts["xpassed"] for t in self.tested)


def build_report(done: Iterable[Done], errors: Sequence[str], seconds: float) -> Report:
    """Return the report of all findings, in the order of the backends' first tests."""
    by_subject: dict[str, list[Done]] = {}
    for one in done:
        by_subject.setdefault(one.subject, []).append(one)
    known = versions()
    return Report(
        convhub=known.get("convhub", ""),
        contract=getattr(contract, "CONTRACT", None),
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        machine=this_machine(known),
        tested=[_tested(found) for found in by_subject.values()],
        errors=list(errors),
    )


def _tested(done: Sequence[Done]) -> Tested:
    first = done[0]
    origin = current_dispatcher().registry.backends[first.backend].origin
    rows = [row for one in done for row in one.rows]
    checks: dict[str, Counter[Outcome]] = {}
    reasons: dict[str, Counter[str]] = {"declined": Counter(), "skipped": Counter()}
    worst: dict[str, dict[str, float | None]] = {}
    for row in rows:
        checks.setdefault(row.check, Counter())[row.outcome] += 1
        if row.outcome in reasons:
            reasons[row.outcome][row.detail] += 1
        if row.ratio is not None:
            by_primitive = worst.setdefault(row.dtype, {})
            by_primitive[row.primitive] = _worse(by_primitive.get(row.primitive, 0.0), row.ratio)
    results: dict[str, dict[str, Outcome]] = {}
    for one in done:
        for row in () if one.drawn else one.rows:
            results.setdefault(row.problem, {})[row.check] = row.outcome
    return Tested(
        subject=first.subject,
        backend=first.backend,
        distribution=origin.distribution,
        version=origin.version,
        level=first.level,
        seed=first.seed,
        counts=_counted(Counter(row.outcome for row in rows)),
        checks={check: _counted(counts) for check, counts in checks.items()},
        worst={dtype: worst[dtype] for dtype in ITEM_BYTES if dtype in worst},
        reasons={outcome: dict(counts.most_common()) for outcome, counts in reasons.items()},
        noted=[_finite(row) for row in rows if row.outcome in ("failed", "xfailed", "xpassed")],
        results=results,
        smallest=[_finite(row) for one in done for row in one.smallest],
    )


def _worse(one: float | None, other: float) -> float | None:
    return None if one is None or not math.isfinite(other) else max(one, other)


def _finite(row: Row) -> Row:
    """Return a row as JSON can hold it: a ratio that is not a number becomes None."""
    return row if row.ratio is None or math.isfinite(row.ratio) else replace(row, ratio=None)


def _counted(counts: Counter[Outcome]) -> dict[Outcome, int]:
    return {outcome: counts[outcome] for outcome in OUTCOMES}


def read_report(path: Path) -> Report:
    """Read what `convhub.versioned_json.write_json` wrote.

    Raises
    ------
    ArgumentError
        If the file cannot be read, or is no report of this schema.
    """
    command = "convhub conformance --json"
    return read_json(path, Report, key="schema", version=SCHEMA, argument="the report", command=command)
