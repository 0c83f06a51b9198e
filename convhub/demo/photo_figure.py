"""Draws the photograph, the filters' maps, and the pictures that the transposed convolution rebuilds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..plotting import INK, MUTED, canvas, heading, picture
from .filters import cosine_frame
from .photo import Report

__all__ = ["by_orientation", "draw"]

#: Which of the 192 maps to show: (colour, half waves down, half waves across), and what each responds to.
SHOWN = (
    ((0, 0, 0), "brightness"),
    ((1, 0, 0), "red − blue"),
    ((2, 0, 0), "red + blue − green"),
    ((0, 0, 1), "change across"),
    ((0, 1, 0), "change down"),
    ((0, 1, 1), "change both ways"),
)

#: Inches: of the figure, its margin, the title, above a row of pictures and above the row of maps.
WIDTH, MARGIN, TITLE, ABOVE, ABOVE_MAPS = 12.0, 0.16, 0.5, 0.36, 0.3


def draw(report: Report, path: Path) -> None:
    """Save the figure as a PNG."""
    height, width = report.photograph.shape[1:]
    large, small = _width(2) * height / width, _width(len(SHOWN)) * height / width
    total = TITLE + 2 * (ABOVE + large) + ABOVE_MAPS + small + MARGIN
    with canvas(path, WIDTH, total) as figure:
        middle = 1 - (MARGIN + TITLE) / 2 / total
        left, right = MARGIN / WIDTH, 1 - MARGIN / WIDTH
        figure.text(
            left, middle, "A photograph, taken apart and rebuilt", fontsize=15, fontweight="bold", va="center"
        )
        figure.text(
            right, middle, f"convhub, backend {report.drawn_by}", color=MUTED, va="center", ha="right"
        )
        top = total - TITLE - ABOVE
        original, edges = _row(figure, total, top, large, 2)
        picture(original, report.photograph)
        heading(original, "The photograph", f"{width} × {height}")
        picture(edges, by_orientation(report.edges))
        heading(
            edges, "Edges by direction", "16 Gabor filters 13 × 13, stride 2; hue: direction, light: strength"
        )
        _key(edges)

        top -= large + ABOVE_MAPS
        for axes, (indices, name) in zip(_row(figure, total, top, small, len(SHOWN)), SHOWN, strict=True):
            index = int(np.ravel_multi_index(indices, (3, 8, 8)))
            # The outermost windows see the padding.
            _feature_map(axes, report.coefficients[index, 1:-1, 1:-1], cosine_frame()[index], index != 0)
            axes.set_title(name, loc="left", fontsize=8.5, pad=4)

        top -= small + ABOVE
        whole, few = _row(figure, total, top, large, 2)
        picture(whole, report.rebuilt)
        heading(
            whole, "Rebuilt by conv_transpose2d", f"from all 192 maps; PSNR {report.psnr['rebuilt']:.0f} dB"
        )
        picture(few, report.few)
        heading(
            few,
            f"Rebuilt from {100 * report.kept:.0f} % of the coefficients",
            f"the strongest ones; PSNR {report.psnr['few']:.1f} dB",
        )


def by_orientation(answers: NDArray[Any]) -> NDArray[np.float64]:
    """Return a picture, (3, H, W), of a Gabor bank's responses, (2 K, H, W): even waves, then odd ones.

    The hue is the direction of the edge: the mean of the directions weighted by energy, with angles doubled
    so that half a turn is the same direction. The brightness is the root of the energy.
    """
    half = len(answers) // 2
    energy = answers[:half].astype(np.float64) ** 2 + answers[half:].astype(np.float64) ** 2
    doubled = np.exp(2j * np.pi * np.arange(half) / half)
    mean = np.tensordot(doubled, energy, 1)
    total = energy.sum(0)
    light = np.sqrt(total)
    light = np.clip(light / max(np.quantile(light, 0.985), 1e-12), 0, 1) ** 0.8
    purity = np.abs(mean) / np.maximum(total, 1e-12)
    hue = np.angle(mean) / (2 * np.pi) % 1
    colours: NDArray[np.float64] = hsv_to_rgb(np.stack([hue, 0.25 + 0.6 * purity, light], -1))
    return colours.transpose(2, 0, 1)


def _width(count: int) -> float:
    """Return the width in inches of each of `count` pictures in a row, a margin apart."""
    return (WIDTH - MARGIN * (count + 1)) / count


def _row(figure: Figure, total: float, top: float, height: float, count: int) -> list[Axes]:
    """Return `count` axes side by side; `top` and `height` are in inches, from the bottom of the figure."""
    width = _width(count)
    lefts = (MARGIN + i * (width + MARGIN) for i in range(count))
    box = ((top - height) / total, width / WIDTH, height / total)
    return [figure.add_axes((left / WIDTH, *box)) for left in lefts]


def _feature_map(axes: Axes, values: NDArray[Any], kernel: NDArray[Any], signed: bool) -> None:
    """Show one map, with its filter in the corner."""
    if signed:
        limit = float(np.quantile(np.abs(values), 0.99)) or 1.0
        picture(axes, values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    else:
        picture(axes, values, cmap="gray", aspect="auto")
    inset = axes.inset_axes((0.03, 0.05, 0.19, 0.19 * 1.5))
    picture(inset, 0.5 + kernel / (2 * np.abs(kernel).max()))
    for spine in inset.spines.values():
        spine.set(visible=True, color=INK, linewidth=1)


def _key(axes: Axes) -> None:
    """Draw the key of hues in the lower right corner: each line has the colour of its direction."""
    inset = axes.inset_axes((0.885, 0.03, 0.1, 0.15))
    for angle in np.arange(0, np.pi, np.pi / 8):
        # A wave along direction `angle` responds to edges along its normal; rows count downwards.
        x, y = -np.sin(angle), np.cos(angle)
        colour = hsv_to_rgb((angle / np.pi, 0.85, 1.0))
        inset.plot([-x, x], [-y, y], color=colour, linewidth=2.2, solid_capstyle="round")
    inset.set(xlim=(-1.15, 1.15), ylim=(1.15, -1.15), aspect="equal")
    inset.axis("off")
