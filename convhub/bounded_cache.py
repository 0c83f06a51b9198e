"""Caches a function's results within a limit in bytes, since a value may be a table of any size."""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from functools import _lru_cache_wrapper

__all__ = ["bounded_cache"]

R = TypeVar("R")
P = ParamSpec("P")

#: Types of objects that many values refer to and none owns.
_SHARED = (type, FunctionType, ModuleType)


def bounded_cache(
    most_bytes: int = 2**24, most_entries: int = 1024, clear: Callable[[], None] | None = None
) -> Callable[[Callable[P, R]], _lru_cache_wrapper[R]]:
    """Cache a function's results, as `functools.lru_cache` does, but within a limit in bytes.

    The cache is cleared when the values added since the last time exceed the limit. Hits are as fast as those
    of `functools.lru_cache`; no lock is held that a forked child might inherit.

    Parameters
    ----------
    most_bytes : int
        The most memory of all arguments and values together; the last value may exceed it.
    most_entries : int
        The most entries.
    clear : callable, optional
        Called when the cache is cleared, to clear other places that hold the values.

    Returns
    -------
    callable
        A decorator. The function's arguments must be hashable.

    Examples
    --------
    >>> @bounded_cache(most_bytes=100_000)
    ... def table(size):
    ...     return list(range(size))
    >>> table(10) is table(10)
    True
    >>> first = table(1000)
    >>> for size in range(1000, 1020):
    ...     _ = table(size)
    >>> first is table(1000)
    False
    """

    def decorate(function: Callable[P, R]) -> _lru_cache_wrapper[R]:
        sizes: list[int] = []

        def computed(*args: P.args, **kwargs: P.kwargs) -> R:
            value = function(*args, **kwargs)
            size = held_bytes((args, kwargs, value))
            sizes.append(size)
            # Entries that the cache itself has evicted still count: there may be more sizes than entries.
            if sum(sizes) > most_bytes or len(sizes) > 4 * most_entries:
                sizes[:] = [size]
                cached.cache_clear()
                if clear is not None:
                    clear()
            return value

        cached = functools.lru_cache(maxsize=most_entries)(functools.wraps(function)(computed))
        return cached

    return decorate


def held_bytes(value: Any) -> int:
    """Return the memory of a value and everything that it refers to, including NumPy arrays.

    Examples
    --------
    >>> import numpy as np
    >>> 8000 < held_bytes((np.zeros(1000)[10:],)) < 8500
    True
    """
    seen: set[int] = set()
    todo, total = [value], 0
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, _SHARED):
            continue
        seen.add(id(each))
        total += sys.getsizeof(each)
        base = getattr(each, "base", None) if type(each).__module__ == "numpy" else None
        todo += [base] if base is not None else gc.get_referents(each)
    return total
