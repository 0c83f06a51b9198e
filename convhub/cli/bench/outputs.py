"""Prints a report of ``convhub bench``, and writes the files that are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ArgumentError
from ...problem import Problem
from ..json_output import STDOUT, check_writable, write_text
from ..needs import need
from ..output import show
from .options import EXTRA

if TYPE_CHECKING:
    from ...bench.results import Report

__all__ = ["Outputs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Where a report goes; each by the name of its option."""

    layers: bool
    json_file: str | None
    plot: Path | None
    markdown: Path | None
    save_to: Path | None

    def check_writable(self) -> None:
        """Refuse files that could not be written, before minutes have passed."""
        for option, file in (("--plot", self.plot), ("--markdown", self.markdown)):
            if file is not None:
                check_writable(option, file)

    def check_figure(self) -> None:
        """Refuse a figure that could not be drawn, before minutes have passed."""
        if self.plot is None:
            return
        need("matplotlib", "--plot", EXTRA)
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        known = FigureCanvasAgg.get_supported_filetypes()
        if self.plot.suffix.removeprefix(".").lower() not in known:
            raise ArgumentError(
                f"plot is {str(self.plot)!r}; its suffix must be of {', '.join(sorted(known))}"
            )

    def deliver(self, report: Report) -> None:
        """Print a report, and write the files that are wanted; first that which cannot be made again."""
        from .tables import show_report

        if self.json_file is not None:
            from ...versioned_json import as_json

            write_text(as_json(report), self.json_file)
        if self.json_file != STDOUT:
            show_report(report, layers=self.layers)
        if self.markdown is not None:
            from ...bench.markdown import to_markdown

            self.markdown.write_text(to_markdown(report), encoding="utf-8")
        if self.plot is not None:
            from ...bench.plot import draw

            draw(report, self.plot)

    def save(self, report: Report) -> None:
        """Write a report, if asked for, under the name of its date, chip and dtype, and print where."""
        if self.save_to is None:
            return
        from ...bench.archive import check_free, name_of, save

        dtypes = [Problem.parse(row.problem).dtype for row in report.rows]
        name = name_of(report.date, report.machine.chip, dtypes, report.settings.allow_tf32)
        check_free(self.save_to, name, report.command)
        written = save(report, self.save_to, name)
        if self.json_file != STDOUT:
            show(*map(str, written), "")
