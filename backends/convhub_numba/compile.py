"""From a kernel and the types of its arguments to a function that can be called without further ado."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from numba import types

from .narrow import stored_type

__all__ = ["compiled", "float_array", "sizes_of"]

log = logging.getLogger("convhub.numba")
_lock = threading.Lock()
_entries: dict[tuple[Any, ...], Callable[..., None]] = {}


def float_array(dtype: str, dimensions: int) -> types.Array:
    """Return Numba's type of an array: contiguous if one-dimensional, of any strides otherwise."""
    return types.Array(stored_type(dtype), dimensions, "C" if dimensions == 1 else "A")


def sizes_of(kind: type) -> types.NamedUniTuple:
    """Return Numba's type of a NamedTuple of integers."""
    return types.NamedUniTuple(types.int64, len(kind._fields), kind)  # type: ignore[attr-defined]


def compiled(kernel: Any, *signature: Any) -> Callable[..., None]:
    """Return the machine code of `kernel` for these argument types, from Numba's cache on disk if there.

    What is returned does not look at its arguments' types: Numba's dispatcher would, at each call, and takes
    longer over it than a small convolution.
    """
    key = (kernel, *signature)
    entry = _entries.get(key)
    if entry is None:
        with _lock:
            entry = _entries.get(key)
            if entry is None:
                entry = _entries[key] = _compile(kernel, signature)
    return entry


def _compile(kernel: Any, signature: tuple[Any, ...]) -> Callable[..., None]:
    began = time.perf_counter()
    missed = kernel.stats.cache_misses.get(signature, 0)
    entry: Callable[..., None] = kernel.compile(signature)
    if kernel.stats.cache_misses.get(signature, 0) > missed:
        log.info(
            "compiling %s.%s took %.1f s", kernel.__module__, kernel.__name__, time.perf_counter() - began
        )
    return entry
