"""Cuts a size into blocks."""

from __future__ import annotations

__all__ = ["ceil_div", "even", "round_up"]


def ceil_div(total: int, size: int) -> int:
    """Return how many blocks of ``size`` hold ``total``."""
    return -(-total // size)


def round_up(total: int, multiple: int) -> int:
    """Return the least multiple that is not below ``total``."""
    return ceil_div(total, multiple) * multiple


def even(total: int, most: int, multiple: int = 1) -> int:
    """Return the length of blocks of ``total``, at most about ``most`` each, all nearly alike."""
    blocks = max(1, ceil_div(total, max(multiple, most // multiple * multiple)))
    return round_up(ceil_div(total, blocks), multiple)
