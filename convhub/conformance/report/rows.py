"""Defines the suite's findings, a row for each check of each problem, and applies expected failures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from ..verify import Finding
from .xfails import ANY, Xfail, Xfails

__all__ = ["OUTCOMES", "Done", "Outcome", "Row", "judged", "read_findings", "unexpected"]

#: passed, failed
#:     The check's own outcome.
#: declined
#:     The backend does not support the problem, by its declaration; one row covers all checks.
#: skipped
#:     The check does not apply, or cannot run on this machine.
#: xfailed
#:     It failed, as an entry in the file of expected failures says.
#: xpassed
#:     It passed, but an entry says that it fails.
Outcome: TypeAlias = Literal["passed", "failed", "declined", "skipped", "xfailed", "xpassed"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True)
class Row:
    """One check of one problem.

    `problem` is its text, empty for a check of the backend as a whole; `ratio` is the worst error in units
    of its bound, if one was measured; `detail` says why the outcome is not "passed"; `command` repeats the
    check.
    """

    problem: str
    primitive: str
    dtype: str
    check: str
    outcome: Outcome
    ratio: float | None
    detail: str
    command: str


@dataclass(frozen=True, slots=True)
class Done:
    """The findings of one test of the suite, as data that a process can send to another.

    `subject` is the backend's name in test ids: with its device, or its own options. `drawn` says whether the
    problems were random. `smallest` are failures on smaller problems, for which a search was made.
    """

    subject: str
    backend: str
    level: str
    seed: int
    drawn: bool
    rows: list[Row] = field(default_factory=list)
    smallest: list[Row] = field(default_factory=list)


def read_findings(path: Path) -> list[Done]:
    """Return the findings of a file with those of one test a line; the last may be incomplete."""
    import msgspec

    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [msgspec.json.decode(line, type=Done) for line in lines]


def judged(findings: Iterable[Finding], xfails: Xfails, drawn: bool) -> list[Row]:
    """Return findings as rows, with expected failures marked.

    Parameters
    ----------
    findings : iterable of Finding
        Those of one problem, or of random ones.
    xfails : Xfails
    drawn : bool
        Whether the problems are random; these may pass even if they were expected to fail.
    """
    rows = [_row(finding, xfails) for finding in findings]
    return rows if drawn else list(_with_unexpected_passes(rows, xfails))


def _row(finding: Finding, xfails: Xfails) -> Row:
    problem = finding.problem
    text = "" if problem is None else str(problem)
    outcome: Outcome = finding.outcome
    detail = finding.detail
    if outcome == "failed":
        entry = xfails.expecting(finding.check, text)
        if entry is not None:
            outcome, detail = "xfailed", f"{entry.reason} [{detail}]"
    return Row(
        text,
        "" if problem is None else problem.primitive,
        "" if problem is None else problem.dtype,
        finding.check,
        outcome,
        finding.ratio,
        detail,
        finding.command,
    )


def _with_unexpected_passes(rows: list[Row], xfails: Xfails) -> Iterator[Row]:
    """Mark checks that passed although an entry for exactly this problem says that they fail.

    A single failure satisfies an entry for any check, "*": no fault breaks every check.
    """
    stale: list[Xfail] = []
    for entry in xfails.entries:
        about = [row for row in rows if entry.matches(row.check, row.problem)]
        # Checks of the backend as a whole have no problem that an entry could name.
        exact = not entry.is_pattern or any(not row.problem for row in about)
        outcomes = {row.outcome for row in about}
        if exact and "passed" in outcomes and "xfailed" not in outcomes:
            stale.append(entry)
    for row in rows:
        named = [entry for entry in stale if row.check == entry.check]
        if row.outcome == "passed" and named:
            yield replace(row, outcome="xpassed", detail=unexpected(xfails.name(named[0])))
        else:
            yield row
    for entry in stale:
        if entry.check == ANY:
            detail = unexpected(xfails.name(entry))
            yield replace(rows[0], check=ANY, outcome="xpassed", ratio=None, detail=detail)


def unexpected(name: str) -> str:
    """Return the message for an entry of that name that no failure satisfies any more."""
    return f"passes, and was expected to fail by {name}; take the entry out, or narrow its problem"
