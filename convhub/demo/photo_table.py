"""Tabulates how fast and how accurately each backend filtered the photograph."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from ..config import current
from . import torch_direct
from .filters import FRAME_SIZE, FRAME_STRIDE
from .photo import JOBS, Report
from .printing import captioned_table, fraction, say

__all__ = ["show"]


def show(report: Report, console: Console) -> None:
    """Print the table, and the quality of the pictures."""
    console.print(_table(report))
    unchanged = [name for name, count in report.pixels_changed.items() if not count]
    say(
        console,
        f"Rebuilt from all coefficients with a PSNR of {report.psnr['rebuilt']:.0f} dB. Rounded to 8 bits, "
        f"not one value differs from the photograph with {', '.join(unchanged) or 'no backend'}. "
        f"Rebuilt from the strongest {100 * report.kept:.0f} % of them: {report.psnr['few']:.1f} dB.",
    )
    if not torch_direct.is_installed():
        say(console, torch_direct.HOW_TO_GET, "yellow")
    for backend, reason in report.declined.items():
        say(console, f"{backend} declined: {reason}")


def _table(report: Report) -> Table:
    height, width = report.photograph.shape[1:]
    work = ", ".join(f"{name} {report.gigamacs[name]:.2f}" for name in JOBS)
    torch = f", torch {torch_direct.threads()}" if torch_direct.is_installed() else ""
    slow = [name for name, size in report.sizes.items() if size != (height, width)]
    caption = (
        f"Least of up to {report.rounds} rounds, in turns, in one process; threads: convhub "
        f"{current().threads}{torch}. Take apart: conv2d, 192 filters 3 × {FRAME_SIZE} × {FRAME_SIZE}, "
        f"stride {FRAME_STRIDE}; rebuild: conv_transpose2d with the same; edges: conv2d, 16 Gabor filters "
        f"13 × 13, stride 2. Giga-multiply-adds on the whole picture: {work}. "
    )
    if slow:
        caption += f"Too slow for that, and run once on a piece from its middle: {', '.join(slow)}. "
    caption += (
        "Error: the worst of the three against float64, as a fraction of terms / 2 · eps · (|x| ⋆ |w|), "
        "which no order of summing can pass."
    )
    table = captioned_table("Milliseconds for the photograph", caption, *JOBS, "pixels", "error / bound")
    order = sorted(report.milliseconds, key=lambda name: (name in slow, name == torch_direct.ITSELF))
    for backend in order:
        times = report.milliseconds[backend]
        worst = max(report.fractions[backend].values())
        cells = (f"{times[name]:,.1f}" for name in JOBS)
        table.add_row(backend, *cells, _text(report.sizes[backend]), fraction(worst))
    return table


def _text(size: tuple[int, int]) -> str:
    return f"{size[1]} × {size[0]}"
