"""Draws a report: the ratio of every layer by class, and rates below the roof of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..plotting import ACCENT, INK, MUTED, SECOND, canvas, heading
from .classes import CLASSES
from .formatting import ours, setting, theirs
from .peak import Peak
from .results import Report, Row, Settings
from .summary import Summary, summaries

__all__ = ["draw"]

#: Inches: of the figure, and of each row of axes.
WIDTH, HEIGHT, TOP, BOTTOM = 12.5, 3.9, 0.95, 0.35


def draw(report: Report, path: Path) -> None:
    """Save the figure in the format of the suffix: PNG, SVG or another that matplotlib supports.

    Each primitive has a row of axes: on the left the ratios in both modes of memory, on the right the rates
    in the first mode.
    """
    found = summaries(report.rows)
    primitives = list(dict.fromkeys(summary.primitive for summary in found))
    total = TOP + HEIGHT * len(primitives) + BOTTOM
    with canvas(path, WIDTH, total) as figure:
        figure.text(
            0.012, 1 - 0.28 / total, _title(report.settings), fontsize=14, fontweight="bold", va="center"
        )
        figure.text(0.012, 1 - 0.58 / total, _subtitle(report), color=MUTED, fontsize=8.5, va="center")
        for index, primitive in enumerate(primitives):
            chosen = [summary for summary in found if summary.primitive == primitive]
            bottom = (total - TOP - HEIGHT * (index + 1) + 0.75) / total
            height = (HEIGHT - 1.1) / total
            _ratios(figure.add_axes((0.055, bottom, 0.545, height)), chosen)
            rows = chosen[0].rows
            _roofline(figure.add_axes((0.66, bottom, 0.325, height)), rows, report.peak, report.settings)


def _title(settings: Settings) -> str:
    return f"{ours(settings)}, against {theirs(settings)}"


def _subtitle(report: Report) -> str:
    machine = report.machine.gpu or report.machine
    versions = ", ".join(f"{name} {version}" for name, version in report.machine.versions.items())
    return f"{machine}; {setting(report.settings)}\n{versions}"


# --- the ratio of every layer -----------------------------------------------------------------------------


def _ratios(axes: Axes, chosen: Sequence[Summary]) -> None:
    """Draw a dot for each layer and a bar at each class's mean, with the mean of classes in the heading."""
    names = [name for name in CLASSES if any(c.name == name for s in chosen for c in s.classes)]
    width = 0.8 / len(chosen)
    ratios = [row.ratio for summary in chosen for row in summary.rows if row.ratio is not None]
    for index, (summary, colour) in enumerate(zip(chosen, (ACCENT, MUTED), strict=False)):
        for found in summary.classes:
            middle = names.index(found.name) + (index - (len(chosen) - 1) / 2) * width
            values = [row.ratio for row in found.rows if row.ratio is not None]
            places = middle + width * 0.6 * _spread(len(values))
            axes.scatter(places, values, s=13, color=colour, alpha=0.6, linewidths=0, zorder=3)
            if found.ratio is not None:
                axes.hlines(
                    found.ratio, middle - width / 2.3, middle + width / 2.3, color=colour, lw=2.2, zorder=4
                )
        label = f"memory {summary.memory}" + (f": mean {summary.ratio:.2f}x" if summary.ratio else "")
        axes.scatter([], [], s=18, color=colour, label=label)
    axes.axhline(1, color=INK, lw=1, zorder=2)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_xticks(range(len(names)), [_two_lines(name) for name in names], fontsize=8)
    for edge in range(1, len(names)):
        axes.axvline(edge - 0.5, color="#eceef1", lw=0.8, zorder=1)
    _log_ratio_axis(axes, ratios)
    heading(axes, chosen[0].title)
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Put the legend above the axes at the right, where no layer can be."""
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.01, 0.99),
        ncols=2,
        frameon=False,
        fontsize=8,
        handletextpad=0.2,
        columnspacing=1.2,
    )


def _spread(count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return positions from −½ to ½ for dots side by side, in the order of the layers."""
    return np.linspace(-0.5, 0.5, count) if count > 1 else np.zeros(count)


def _two_lines(name: str) -> str:
    return name.replace(" and ", "\nand ") if " and " in name else name.replace(" ", "\n", 1)


def _log_ratio_axis(axes: Axes, ratios: Sequence[float]) -> None:
    axes.set_yscale("log")
    low, high = min([*ratios, 0.8]), max([*ratios, 1.25])
    axes.set_ylim(low / 1.15, high * 1.15)
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color="#eceef1", lw=0.8)
    axes.set_axisbelow(True)
    axes.set_ylabel("their time / ours")


# --- the roofline -----------------------------------------------------------------------------------------


def _roofline(axes: Axes, rows: Sequence[Row], peak: Peak | None, settings: Settings) -> None:
    """Draw rates over arithmetic intensity; in cache a layer may exceed the roof that memory sets."""
    sides = (
        (theirs(settings), SECOND, [(row.intensity, row.against_gflops) for row in rows]),
        ("convhub", ACCENT, [(row.intensity, row.gflops) for row in rows]),
    )
    points = [(x, y) for _, _, side in sides for x, y in side if y is not None]
    for name, colour, side in sides:
        known = [(x, y) for x, y in side if y is not None]
        axes.scatter(
            [x for x, _ in known],
            [y for _, y in known],
            s=13,
            color=colour,
            alpha=0.65,
            linewidths=0,
            label=name,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    note = ""
    if points:
        left, right = min(x for x, _ in points) / 1.5, max(x for x, _ in points) * 1.5
        lowest, highest = min(y for _, y in points), max(y for _, y in points)
        if peak is not None:
            ridge = peak.gflops / peak.gigabytes_per_second
            xs = np.geomspace(left, right, 200)
            axes.plot(xs, np.minimum(peak.gflops, peak.gigabytes_per_second * xs), color=INK, lw=1.2)
            lowest = min(lowest, peak.gigabytes_per_second * min(left, ridge))
            highest = max(highest, peak.gflops)
            note = f"roof: matmul {peak.gflops:.0f} GF/s, copy {peak.gigabytes_per_second:.0f} GB/s"
        axes.set_xlim(left, right)
        axes.set_ylim(lowest / 1.4, highest * 1.4)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(color="#eceef1", lw=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("operations per byte of operands and result")
    axes.set_ylabel("GF/s")
    axes.set_title(note, loc="left", fontsize=8.5, color=MUTED, pad=6)
    _legend(axes)
