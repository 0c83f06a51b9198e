"""Lends scratch memory: one buffer for each calling thread, kept between calls.

Mapping its pages again costs more than a small convolution.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["scratch", "shared_scratch"]

CACHE_LINE = 64

#: Each thread's buffer is `kept`, and `views` has its views by the sizes asked for.
_local = threading.local()


def scratch(items: int, integers: int, dtype: Any, rows: int = 1) -> tuple[Any, Any]:
    """Return this thread's memory for (`items` of `dtype`, `integers` of int64), their contents undefined.

    Each of `rows` threads has that much, one after the other: each array's length is `rows` times
    that of a row, which begins a new cache line.
    """
    views: dict[Any, tuple[Any, Any]] | None = _local.__dict__.get("views")
    key = (items, integers, dtype, rows)
    if views is not None and key in views:
        return views[key]
    size, integer_size = (
        rows * (each + -each % CACHE_LINE) for each in (items * np.dtype(dtype).itemsize, 8 * integers)
    )
    kept = _local.__dict__.get("kept")
    if kept is None or kept.size < size + integer_size + CACHE_LINE:
        _local.kept = _local.views = kept = views = None  # given back before more is taken
        kept = _local.kept = np.zeros(size + integer_size + CACHE_LINE, np.uint8)
    if views is None or len(views) >= 64:  # each is small, but there may be any number of sizes
        views = _local.views = {}
    start = -kept.ctypes.data % CACHE_LINE
    after = start + size
    made = kept[start:after].view(dtype), kept[after : after + integer_size].view(np.int64)
    views[key] = made
    return made


def shared_scratch(items: int, dtype: Any) -> Any:
    """Return `items` of `dtype` for all threads of this thread's call, their contents undefined."""
    size = items * np.dtype(dtype).itemsize
    kept = _local.__dict__.get("shared")
    if kept is None or kept.size < size + CACHE_LINE:
        _local.shared = kept = None
        kept = _local.shared = np.zeros(size + CACHE_LINE, np.uint8)
    start = -kept.ctypes.data % CACHE_LINE
    return kept[start : start + size].view(dtype)


@contextlib.contextmanager
def set_aside() -> Iterator[None]:
    """Keep this thread's memory from calls that a handler of a signal makes in the middle of another."""
    kept = dict(_local.__dict__)
    try:
        _local.__dict__.clear()
        yield
    finally:
        _local.__dict__.update(kept)
