"""Formats the texts that tables, Markdown and figures share: numbers, names of the sides, settings."""

from __future__ import annotations

from collections.abc import Sequence

from .results import Report, Row, Settings
from .sides import TORCH
from .summary import ClassSummary, Summary

__all__ = [
    "CLASS_HEADERS",
    "LAYER_HEADERS",
    "MEMORY",
    "class_cells",
    "facts",
    "host_bound",
    "layer_cells",
    "not_compared",
    "ours",
    "setting",
    "theirs",
    "totals",
]

#: A line that describes each mode of memory.
MEMORY = {
    "keep": "freed memory stays with the process; least of all rounds",
    "system": "malloc as it is by default; median of all rounds",
    "pool": "the libraries keep freed memory in pools, as by default; median of all rounds",
}

CLASS_HEADERS = ("Class", "Layers", "Ratio", "Worst", "At 1x or better", "GF/s", "GF/s of {}")
LAYER_HEADERS = ("Class", "Problem", "Call", "Ran on", "ms", "GF/s", "Ratio")

#: If issuing takes at least this fraction of a call's time, the time is the host's.
HOST_BOUND = 0.8

#: Shown in place of a missing number.
NONE = "–"


def ours(settings: Settings) -> str:
    """Return the name of the side under test."""
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
    """Return the row of a layer, below `LAYER_HEADERS`; a side that did not run has a note for its time."""
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
    """Return a line for each reason why layers were not compared, with their number and the first one."""
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


def host_bound(rows: Sequence[Row]) -> list[str]:
    """Return a line if GPU calls took as long to issue as to run, so that the times are the host's."""
    sides = [
        ("convhub", [_is_bound(row.issue_milliseconds, row.milliseconds) for row in rows]),
        (
            rows[0].against if rows else "",
            [_is_bound(row.against_issue_milliseconds, row.against_milliseconds) for row in rows],
        ),
    ]
    found = [f"{sum(bound)} of {name}" for name, bound in sides if any(bound)]
    if not found:
        return []
    return [f"Bound by the host, since a call takes as long to issue as to run: {', '.join(found)}"]


def _is_bound(issue: float | None, whole: float | None) -> bool:
    return issue is not None and whole is not None and issue >= HOST_BOUND * whole


def _layers(count: int) -> str:
    return "1 layer" if count == 1 else f"{count} layers"


def setting(settings: Settings) -> str:
    """Return where and how both sides ran, in a few words."""
    if settings.device == "cpu":
        return "1 thread each" if settings.threads == 1 else f"{settings.threads} threads each"
    return f"on {settings.device}, {'with' if settings.allow_tf32 else 'without'} TF32"


def facts(report: Report) -> list[str]:
    """Return lines that say where and how the times were measured."""
    versions = ", ".join(f"{name} {version}" for name, version in report.machine.versions.items())
    settings = report.settings
    return [
        str(report.machine),
        *([str(report.machine.gpu)] if report.machine.gpu else []),
        versions,
        *([f"measured peak: {report.peak}"] if report.peak else []),
        f"{ours(settings)} against {theirs(settings)}; {setting(settings)}, accuracy {settings.accuracy}",
        f"{report.command}  ({report.date})",
    ]


def ratio(value: float | None) -> str:
    """Format a ratio."""
    return NONE if value is None else f"{value:.2f}x"


def share(value: float | None) -> str:
    """Format a share, rounded down: 100 % means all."""
    return NONE if value is None else f"{int(100 * value + 1e-9)} %"


def number(value: float | None, digits: int = 1) -> str:
    """Format a number."""
    return NONE if value is None else f"{value:.{digits}f}"
