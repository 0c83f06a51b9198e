"""What tables, Markdown and figures say alike: numbers as texts, who is compared with whom, what was not."""

from __future__ import annotations

from collections.abc import Sequence

from .contenders import TORCH
from .results import Report, Row, Settings
from .summary import ClassSummary, Summary

__all__ = [
    "CLASS_HEADERS",
    "LAYER_HEADERS",
    "MEMORY",
    "class_cells",
    "facts",
    "layer_cells",
    "not_compared",
    "ours",
    "theirs",
    "totals",
]

#: What the modes of memory are, in a line.
MEMORY = {
    "keep": "freed memory stays with the process; least of all rounds",
    "system": "malloc as it is by default; median of all rounds",
}

CLASS_HEADERS = ("Class", "Layers", "Ratio", "Worst", "At 1x or better", "GF/s", "GF/s of {}")
LAYER_HEADERS = ("Class", "Problem", "Call", "Ran on", "ms", "GF/s", "Ratio")

#: Stands where there is no number.
NONE = "–"


def ours(settings: Settings) -> str:
    """Return the name of the side that is timed."""
    return f"convhub, backend {settings.backend}" if settings.backend else "convhub"


def theirs(settings: Settings) -> str:
    """Return the name of the other side."""
    return TORCH if settings.against == TORCH else f"backend {settings.against}"


def class_cells(found: ClassSummary) -> tuple[str, ...]:
    """Return the row of a class, below `CLASS_HEADERS`."""
    left_out = len(found.rows) - found.compared
    return (
        found.name,
        str(found.compared) + (f" of {len(found.rows)}" if left_out else ""),
        ratio(found.ratio),
        ratio(found.worst.ratio if found.worst else None),
        share(found.share),
        number(found.gflops),
        number(found.against_gflops),
    )


def layer_cells(row: Row) -> tuple[str, ...]:
    """Return the row of a layer, below `LAYER_HEADERS`; what was not run says so in place of its time."""
    name = row.algorithm.partition(",")[0]
    algorithm = f" ({name})" if name else ""
    return (
        row.layer_class,
        row.problem,
        row.operation,
        f"{row.backend}{algorithm}" if row.backend else NONE,
        number(row.milliseconds, 3) if row.milliseconds is not None else "declined",
        number(row.gflops),
        ratio(row.ratio) if row.ratio is not None or row.against_milliseconds is not None else "n/a",
    )


def totals(found: Summary, settings: Settings) -> list[str]:
    """Return the lines below a table of classes."""
    if found.worst is None:
        return ["No layer was run by both sides."]
    return [
        f"Mean of classes {ratio(found.ratio)}; {share(found.share)} of "
        f"{_layers(sum(c.compared for c in found.classes))} at 1x or better. "
        f"A ratio is {theirs(settings)}'s time over convhub's.",
        f"Worst: {ratio(found.worst.ratio)} at {found.worst.problem} ({found.worst.operation})",
    ]


def not_compared(rows: Sequence[Row]) -> list[str]:
    """Return a line for each reason why layers were not compared, with how many there are and the first."""
    reasons: dict[str, list[Row]] = {}
    for row in rows:
        if row.declined:
            reasons.setdefault(f"declined by {row.backend or 'convhub'}: {row.declined}", []).append(row)
        if row.against_declined:
            name = row.against or "the other side"
            reasons.setdefault(f"n/a on {name}: {row.against_declined}", []).append(row)
    return [
        f"{reason} ({_layers(len(found))}, first {found[0].problem})" for reason, found in reasons.items()
    ]


def _layers(count: int) -> str:
    return "1 layer" if count == 1 else f"{count} layers"


def facts(report: Report) -> list[str]:
    """Return the lines that say where and how the times were made."""
    versions = ", ".join(f"{name} {version}" for name, version in report.machine.versions.items())
    settings = report.settings
    threads = "1 thread" if settings.threads == 1 else f"{settings.threads} threads"
    lines = [
        str(report.machine),
        versions,
        f"{ours(settings)} against {theirs(settings)}; {threads} each, accuracy {settings.accuracy}",
        f"{report.command}  ({report.date})",
    ]
    if report.peak is not None:
        lines.insert(2, f"measured peak: {report.peak}")
    return lines


def ratio(value: float | None) -> str:
    """Return a ratio as a text."""
    return NONE if value is None else f"{value:.2f}x"


def share(value: float | None) -> str:
    """Return a share as a text, rounded down: 100 % is all of them."""
    return NONE if value is None else f"{int(100 * value + 1e-9)} %"


def number(value: float | None, digits: int = 1) -> str:
    """Return a number as a text."""
    return NONE if value is None else f"{value:.{digits}f}"
