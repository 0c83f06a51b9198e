"""Formats a report as lines of text, shown at the end of pytest's output."""

from __future__ import annotations

from collections.abc import Iterator

from ...dispatch.dispatcher import current_dispatcher
from ...problem import PRIMITIVES
from .findings import Report, Tested

__all__ = ["not_loaded", "report_lines", "summary_of"]

Line = tuple[str, bool | None]


def report_lines(report: Report) -> Iterator[Line]:
    """Yield each line, and whether it is good news, bad news or neither."""
    for tested in report.tested:
        yield from _lines(tested)
    for error in report.errors:
        yield f"error: {error}", False


def summary_of(tested: Tested) -> str:
    """Return in one line how many checks had each outcome; rare outcomes only if they occurred."""
    counts = tested.counts
    parts = [f"{counts['passed']} checks passed", f"{counts['failed']} failed"]
    if counts["xfailed"]:
        parts.append(f"{counts['xfailed']} failed as expected")
    if counts["xpassed"]:
        parts.append(f"{counts['xpassed']} passed against expectation")
    parts += [f"{counts['declined']} problems declined", f"{counts['skipped']} checks skipped"]
    return ", ".join(parts)


def _lines(tested: Tested) -> Iterator[Line]:
    bad = bool(tested.counts["failed"] or tested.counts["xpassed"])
    yield f"{tested.subject}: {summary_of(tested)}", not bad if tested.checked else None
    for outcome, reasons in tested.reasons.items():
        for reason, count in reasons.items():
            yield f"  {outcome} {count}: {reason}", None
    for check, counts in tested.checks.items():
        if counts["failed"]:
            yield f"  failed {counts['failed']}: {check}", False
    for row in tested.of("xpassed"):
        yield f"  xpass: {row.check} on {row.problem or 'the backend'} {row.detail}", False
    if tested.worst:
        primitives = [p for p in PRIMITIVES if any(p in found for found in tested.worst.values())]
        yield "  worst error, of its bound" + "".join(f"{primitive:>14}" for primitive in primitives), None
        for dtype, found in tested.worst.items():
            cells = "".join(
                f"{ratio_text(found[primitive]) if primitive in found else '':>14}"
                for primitive in primitives
            )
            yield f"  {dtype:<26}{cells}", None


def ratio_text(ratio: float | None) -> str:
    """Format the worst error for a table; None is one that is not a number."""
    return "infinite" if ratio is None else f"{ratio:.3g}"


def not_loaded() -> Iterator[str]:
    """Yield a line for each plugin that could not be loaded, so that its backend is not taken for tested."""
    for failure in current_dispatcher().registry.failures:
        yield f"{failure.name}: not run: {failure.origin} could not be loaded: {failure.reason}"
