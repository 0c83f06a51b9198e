"""Cuts sizes into blocks that fit caches, and work into tasks that keep threads busy."""

from __future__ import annotations

__all__ = [
    "LARGE_TILE_BYTES", "LEAST_TILE_ROWS", "PANEL_BYTES", "SUM_BYTES", "TASKS_PER_THREAD", "TILE_BYTES",
    "ceil_div", "even", "round_up", "shares_well",
]  # fmt: skip

PANEL_BYTES = 24 * 1024  # a panel: most of a first-level cache
TILE_BYTES = 256 * 1024  # a tile's padded copy, or its block of the weight: a part of a second-level cache
LARGE_TILE_BYTES = 512 * 1024  # a tile's pixels where they are nearly all that it reads: a larger part of it
SUM_BYTES = 12 * 1024 * 1024  # a task's sums of the weight's gradient, which stay in memory between blocks
LEAST_TILE_ROWS = 4  # tiles with no more rows are not cut further: they would mostly read their margins
TASKS_PER_THREAD = 4


def ceil_div(total: int, size: int) -> int:
    """Return how many blocks of ``size`` hold ``total``."""
    return -(-total // size)


def round_up(total: int, multiple: int) -> int:
    """Return the least multiple that is not below ``total``."""
    return ceil_div(total, multiple) * multiple


def even(total: int, most: int, multiple: int = 1) -> int:
    """Return the length of blocks of ``total``, at most about ``most`` each, all nearly equal."""
    blocks = max(1, ceil_div(total, max(multiple, most // multiple * multiple)))
    return round_up(ceil_div(total, blocks), multiple)


def shares_well(tasks: int, threads: int) -> bool:
    """Say whether `tasks` tasks keep `threads` threads busy to the end, or nearly."""
    idle = -tasks % threads
    return threads == 1 or (tasks >= TASKS_PER_THREAD * threads and 12 * idle <= tasks)
