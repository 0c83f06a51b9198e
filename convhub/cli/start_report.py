"""Prints the times of ``convhub bench --start``, and writes them as JSON."""

from __future__ import annotations

import msgspec
from rich.text import Text

from ..bench.start import Start
from .output import show

__all__ = ["show_start", "start_json"]


def show_start(found: Start) -> None:
    """Print the times of a backend's start, one per line."""
    libraries = ", ".join(found.modules) or "none"
    lines = [
        ("first call, nothing compiled", f"{found.cold:.2f} s", "with the libraries that it imports"),
        ("first call, later process", f"{found.warm:.2f} s", "with the libraries that it imports"),
        ("the same, libraries imported", f"{found.bare:.2f} s", ""),
        ("import of these libraries", f"{found.libraries:.2f} s", libraries),
        ("import convhub", f"{found.convhub:.2f} s", f"beside {found.numpy:.2f} s of NumPy"),
        ("tiny call", f"{found.tiny * 1e6:.1f} µs", "conv2d of 1x1x4x4 with 1x1x3x3"),
    ]
    algorithm = f", {found.algorithm}" if found.algorithm else ""
    show(Text.assemble((found.problem, "bold"), f"   {found.backend}{algorithm}"))
    for what, time, note in lines:
        show(Text.assemble(f"  {what:<30}{time:>10}   ", (note, "dim")))


def start_json(found: Start) -> str:
    """Return the times as JSON, in seconds.

    Examples
    --------
    >>> found = Start("mine", "", "forward_n1c1h1w1_k1r1s1", 4.0, 0.4, 0.1, 0.1, 0.1, 0.3, ["numba"], 8e-6)
    >>> start_json(found).splitlines()[1]
    '  "backend": "mine",'
    """
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"
