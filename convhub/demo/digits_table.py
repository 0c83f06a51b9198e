"""Tabulates which backend trained the network and why, and how training went."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from ..explanation import Part
from .digits import LEAST_ACCURACY, Report
from .printing import captioned_table, line, say

__all__ = ["show"]

CAPTION = (
    "Seconds are for all epochs; losses are means over an epoch, of noisy pictures; accuracy is on held-out "
    "pictures without noise."
)


def show(report: Report, console: Console) -> None:
    """Print what `convhub.explain` says about each layer, and the losses by epoch."""
    console.print(Text("What convhub.explain tells of the layers of the network", style="bold"))
    for name, parts in report.parts.items():
        line(console, f"  {name:<9} {parts[0].problem}")
        line(console, f"            with its gradients: {_chosen(parts)}")
    first = next(iter(report.parts.values()))[0]
    for verdict in first.verdicts:
        if verdict.name != first.backend:
            line(console, f"  not on {verdict.name}: {verdict.reason or 'it could, but is not chosen'}")
    console.print()
    table = captioned_table("Training", CAPTION, "digit loss", "picture loss", "test accuracy")
    last = len(report.epochs) - 1
    for index in sorted({0, *range(3, last, 4), last}):
        epoch = report.epochs[index]
        table.add_row(
            f"epoch {index + 1}",
            f"{epoch.digit_loss:.3f}",
            f"{epoch.picture_loss:.4f}",
            f"{100 * epoch.accuracy:.1f} %",
        )
    console.print(table)
    say(
        console,
        f"{report.seconds:.1f} s; test accuracy {100 * report.epochs[-1].accuracy:.1f} % of "
        f"{len(report.data.test_digits)} digits (it must reach {100 * LEAST_ACCURACY:.0f} %), "
        f"{100 * report.noisy_accuracy:.1f} % with noise.",
    )


def _chosen(parts: tuple[Part, ...]) -> str:
    """Return each backend with its algorithms and the source of the choice, once."""
    algorithms: dict[tuple[str, str], list[str]] = {}
    for part in parts:
        known = algorithms.setdefault((part.backend, part.source), [])
        if part.algorithm and part.algorithm not in known:
            known.append(part.algorithm)
    return "; ".join(
        f"{backend}{' (' + ', '.join(names) + ')' if names else ''}, by {source}"
        for (backend, source), names in algorithms.items()
    )
