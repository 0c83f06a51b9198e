"""Prints the report of ``convhub conformance``: backend and machine, tables, failures with their commands."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ..conformance.report.causes import Cause, causes
from ..conformance.report.compare import Change, compare
from ..conformance.report.findings import Report, Tested
from ..conformance.report.lines import ratio_text, summary_of
from ..conformance.report.rows import Outcome, Row
from ..problem import PRIMITIVES
from .output import SHOWN, counted, new_table, show, show_rest, unbroken

__all__ = ["others_of", "show_comparison", "show_report"]

HEADERS: dict[Outcome, str] = {
    "passed": "Passed",
    "failed": "Failed",
    "xfailed": "Expected to fail",
    "xpassed": "Passed unexpectedly",
    "declined": "Declined",
    "skipped": "Skipped",
}


def show_report(report: Report) -> None:
    """Print a report."""
    contract = "" if report.contract is None else f", contract {report.contract}"
    versions = ", ".join(f"{name} {report.machine.versions.get(name)}" for name in ("python", "numpy"))
    show(
        f"convhub {report.convhub}{contract}; {versions}; {report.date}, {report.seconds:.0f} s",
        str(report.machine),
        "",
    )
    for tested in report.tested:
        _show(tested)
    for error in report.errors:
        show(Text.assemble(("ERROR ", "bold red"), error))


def _show(tested: Tested) -> None:
    bad = tested.counts["failed"] or tested.counts["xpassed"]
    style = "bold red" if bad else "bold green" if tested.checked else "bold yellow"
    show(
        Text.assemble((tested.subject, "bold"), ": ", (summary_of(tested), style)),
        f"{tested.distribution} {tested.version}".rstrip() + f"; level {tested.level}, seed {tested.seed}",
    )
    if tested.checked:
        show(_checks(tested))
        show(_worst(tested))
    for outcome, reasons in tested.reasons.items():
        _show_some([f"{outcome} {count}: {reason}" for reason, count in reasons.items()], "reasons")
    _show_rows("XFAIL", "bold yellow", tested.of("xfailed"))
    _show_rows("XPASS", "bold red", tested.of("xpassed"))
    _show_causes(causes(tested.of("failed"), tested.smallest))


def _checks(tested: Tested) -> Table:
    outcomes = [outcome for outcome in HEADERS if outcome in ("passed", "failed") or tested.counts[outcome]]
    table = new_table("Check", *(HEADERS[outcome] for outcome in outcomes), flexible={"Check": 20})
    for check, counts in tested.checks.items():
        table.add_row(
            check,
            *(str(counts[outcome] or "-") for outcome in outcomes),
            style="red" if counts["failed"] or counts["xpassed"] else "",
        )
    return table


def _worst(tested: Tested) -> Table:
    primitives = [p for p in PRIMITIVES if any(p in found for found in tested.worst.values())]
    table = new_table("Worst error / bound", *primitives, flexible={})
    for dtype, found in tested.worst.items():
        table.add_row(dtype, *(ratio_text(found[p]) if p in found else "" for p in primitives))
    return table


def _show_rows(word: str, style: str, rows: Sequence[Row]) -> None:
    for row in rows[:SHOWN]:
        show(Text.assemble((f"{word} {row.check}: ", style), row.detail), unbroken(f"  {row.command}"))
    show_rest(len(rows), f"marked {word}")


def _show_causes(found: Sequence[Cause]) -> None:
    for cause in found[:SHOWN]:
        row = cause.first
        show(Text.assemble((f"FAILED {row.check}: ", "bold red"), row.detail), unbroken(f"  {row.command}"))
        others = others_of(cause)
        if others:
            show(f"  {others}")
    show_rest(len(found), "failures that differ")


def others_of(cause: Cause) -> str:
    """Return what else fails, as in "and 6 more checks, and on 12 more problems"; empty if nothing does."""
    parts = []
    if cause.checks:
        parts.append(f"and {counted(len(cause.checks), 'more check')}: {', '.join(cause.checks)}")
    if cause.problems:
        parts.append(f"and on {counted(cause.problems, 'more problem')}")
    return "; ".join(parts)


def _show_some(lines: Sequence[str], what: str) -> None:
    for line in lines[:SHOWN]:
        show(line)
    show_rest(len(lines), what)


def show_comparison(before: Report, after: Report) -> None:
    """Print the changes since an earlier report."""
    found = compare(before, after)
    show("", Text(f"Since {before.date}, with convhub {before.convhub}", style="bold"), *found.notes)
    for what, style, changes in (
        ("newly failing", "bold red", found.failing),
        ("newly expected to fail", "bold yellow", found.expected),
        ("newly passing", "bold green", found.passing),
        ("newly skipped", "bold yellow", found.skipped),
    ):
        _show_changes(what, style, changes)
    for subject, dtype, primitive, one, other in found.grown:
        grown = f"{ratio_text(one)}, now {ratio_text(other)}"
        show(f"{subject}: worst error of {primitive} in {dtype} grew: {grown}")
    if not (found.failing or found.expected or found.passing or found.skipped or found.grown):
        show("nothing changed")


def _show_changes(what: str, style: str, changes: Sequence[Change]) -> None:
    if changes:
        show(Text(f"{len(changes)} {what}", style=style))
    for subject, problem, check, before, after in changes[:SHOWN]:
        where = f" on {problem}" if problem else ""
        show(f"  {subject} {check}{where}: {before or 'not tried'}, now {after}")
    show_rest(len(changes), what)
