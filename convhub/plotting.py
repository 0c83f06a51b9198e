"""Sets the style of figures, and draws them with Agg, whichever backend matplotlib is set to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["ACCENT", "INK", "MUTED", "SECOND", "canvas", "heading", "picture"]

INK, MUTED, ACCENT, SECOND = "#1c2430", "#6b7480", "#1f6fb2", "#d1603d"

STYLE: Any = {  # some releases of matplotlib have their own type for its keys, others plain texts
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": "#b8bec6",
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "figure.facecolor": "white",
    "svg.hashsalt": "convhub",
}


@contextmanager
def canvas(path: Path, width: float, height: float) -> Iterator[Figure]:
    """Yield an empty figure of that size in inches, and save it to `path` at 150 dots per inch.

    This affects neither pyplot nor the process's choice of backend.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=150)
        FigureCanvasAgg(figure)
        yield figure
        # Without the date, which SVG has by default, equal figures give equal files.
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def heading(axes: Axes, title: str, note: str = "") -> None:
    """Write a title above the axes, and a note in grey beside its right end."""
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", pad=6)
    if note:
        axes.set_title(note, loc="right", fontsize=8.5, color=MUTED, pad=6)


def picture(axes: Axes, image: NDArray[Any], **options: Any) -> None:
    """Show an image, (3, H, W) from 0 to 1 or (H, W), without ticks."""
    shown = np.clip(image, 0, 1).transpose(1, 2, 0) if image.ndim == 3 else image
    axes.imshow(shown, interpolation="lanczos" if image.ndim == 3 else "nearest", **options)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
