"""Cuts a size into blocks."""

from __future__ import annotations

__all__ = ["ceil_div", "round_up"]


def ceil_div(total: int, size: int) -> int:
    """Return how many blocks of ``size`` hold ``total``."""
    return -(-total // size)


def round_up(total: int, multiple: int) -> int:
    """Return the least multiple that is not below ``total``."""
    return ceil_div(total, multiple) * multiple
