"""Shows what ``convhub bench --json`` wrote, for ``--from``: nothing is timed."""

from __future__ import annotations

from pathlib import Path

from ...bench.results import read_report
from .outputs import Outputs

__all__ = ["show_saved"]


def show_saved(file: Path, outputs: Outputs) -> None:
    """Print a report that was saved, and write it again in the forms that are asked for."""
    report = read_report(file)
    outputs.deliver(report)
    outputs.save(report)
