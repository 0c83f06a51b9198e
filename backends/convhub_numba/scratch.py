"""Scratch memory: one buffer a thread, kept between calls.

To have its pages mapped anew costs more than a small convolution.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

__all__ = ["scratch", "shared_scratch"]

CACHE_LINE = 64

_local = threading.local()


def scratch(items: int, integers: int, dtype: Any) -> tuple[Any, Any]:
    """Return this thread's own (`items` of `dtype`, `integers` of int64), their contents undefined."""
    size = items * np.dtype(dtype).itemsize
    kept = _local.__dict__.get("kept")
    if kept is None or kept.size < size + 8 * integers + 2 * CACHE_LINE:
        _local.kept = kept = None  # given back before more is taken
        kept = _local.kept = np.zeros(size + 8 * integers + 2 * CACHE_LINE, np.uint8)
    start = -kept.ctypes.data % CACHE_LINE
    after = start + size + -size % 8
    return kept[start : start + size].view(dtype), kept[after : after + 8 * integers].view(np.int64)


def shared_scratch(items: int, dtype: Any) -> Any:
    """Return `items` of `dtype` for all threads of this thread's call, their contents undefined."""
    size = items * np.dtype(dtype).itemsize
    kept = _local.__dict__.get("shared")
    if kept is None or kept.size < size + CACHE_LINE:
        _local.shared = kept = None
        kept = _local.shared = np.zeros(size + CACHE_LINE, np.uint8)
    start = -kept.ctypes.data % CACHE_LINE
    return kept[start : start + size].view(dtype)
