"""Counts the findings of ``convhub verify`` for each backend, and prints them."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.text import Text

from .output import SHOWN, new_table, show, show_rest, unbroken

if TYPE_CHECKING:
    from ..conformance.verify import Finding

__all__ = ["Tally", "show_tallies", "tally_row"]


@dataclasses.dataclass
class Tally:
    """The counted findings about one backend."""

    backend: str
    outcomes: dict[str, Counter[str]] = dataclasses.field(default_factory=dict)
    worst: dict[str, float] = dataclasses.field(default_factory=dict)
    skips: Counter[str] = dataclasses.field(default_factory=Counter)
    failures: list[Finding] = dataclasses.field(default_factory=list)

    def add(self, findings: Iterable[Finding]) -> None:
        """Add the findings about one problem."""
        for finding in findings:
            self.outcomes.setdefault(finding.check, Counter())[finding.outcome] += 1
            if finding.outcome == "skipped":
                self.skips[finding.detail] += 1
            if finding.outcome == "failed":
                self.failures.append(finding)
            if finding.ratio is not None:
                # NaN is the worst error, but would compare as smaller than any number.
                ratio = math.inf if math.isnan(finding.ratio) else finding.ratio
                self.worst[finding.check] = max(ratio, self.worst.get(finding.check, 0.0))

    def count(self, outcome: str) -> int:
        """Return how many checks had that outcome."""
        return sum(outcomes[outcome] for outcomes in self.outcomes.values())

    @property
    def checked(self) -> int:
        """The number of checks that were not skipped."""
        return self.count("passed") + self.count("failed")


def tally_row(tally: Tally) -> dict[str, Any]:
    """Return a tally as a row of JSON, with null for a ratio that is not finite."""
    return {
        "passed": tally.count("passed"),
        "failed": tally.count("failed"),
        "skipped": tally.count("skipped"),
        "checks": {
            check: {
                "passed": outcomes["passed"],
                "failed": outcomes["failed"],
                "skipped": outcomes["skipped"],
                "worst_ratio": _finite(tally.worst.get(check)),
            }
            for check, outcomes in tally.outcomes.items()
        },
        "skip_reasons": dict(tally.skips.most_common()),
        "failures": [
            {
                "problem": str(finding.problem),
                "check": finding.check,
                "ratio": _finite(finding.ratio),
                "detail": finding.detail,
                "command": finding.command,
            }
            for finding in tally.failures
        ],
    }


def _finite(ratio: float | None) -> float | None:
    return ratio if ratio is not None and math.isfinite(ratio) else None


def show_tallies(tallies: Iterable[Tally]) -> None:
    """Print a table for each backend, why checks were skipped, and each failure with its command."""
    for tally in tallies:
        _show(tally)


def _show(tally: Tally) -> None:
    passed, failed, skipped = (tally.count(outcome) for outcome in ("passed", "failed", "skipped"))
    style = "bold red" if failed else "bold green" if passed else "bold yellow"
    show(
        Text.assemble(
            (tally.backend, "bold"), ": ", (f"{passed} passed, {failed} failed, {skipped} skipped", style)
        )
    )
    if tally.checked:
        headers = ("Check", "Passed", "Failed", "Skipped", "Worst error / bound")
        table = new_table(*headers, flexible={"Check": 20})
        for check, outcomes in tally.outcomes.items():
            worst = tally.worst.get(check)
            table.add_row(
                check,
                *(str(outcomes[outcome] or "-") for outcome in ("passed", "failed", "skipped")),
                "" if worst is None else f"{worst:.3g}",
                style="red" if outcomes["failed"] else "",
            )
        show(table)
    for reason, count in tally.skips.most_common(SHOWN):
        show(f"skipped {count}: {reason}")
    show_rest(len(tally.skips), "reasons")
    for finding in tally.failures[:SHOWN]:
        show(
            Text.assemble((f"FAILED {tally.backend} {finding.check}: ", "bold red"), finding.detail),
            unbroken(f"  {finding.command}"),
        )
    show_rest(len(tally.failures), "failures")
    if tally.skips or tally.failures:
        show("")
