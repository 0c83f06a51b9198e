"""Lets a process keep the memory that it frees, so that the arithmetic is timed and not the system.

By default glibc gives a large array back to the system when it is freed, and the next one of its size is new
pages, each zeroed by the system when it is first touched: much of the time of a layer that waits for memory.
Both ways count, so both are timed; they cannot be had in one process, since mallopt has no way back.
"""

from __future__ import annotations

import ctypes
import platform

import numpy as np

from ..errors import ConvhubError

__all__ = ["KeepError", "can_keep", "keep"]

# From malloc.h of glibc. A limit on the size above which mmap serves (M_MMAP_THRESHOLD) would end at 32 MiB,
# so that mmap is forbidden altogether; and the end of the heap is never given back.
_M_MMAP_MAX, _M_TRIM_THRESHOLD = -4, -1

_PAGE = 4096


class KeepError(ConvhubError):
    """Freed memory goes back to the system, although it was told to stay."""


def can_keep() -> bool:
    """Return whether this is glibc, the only library that is known to be told."""
    return platform.libc_ver()[0] == "glibc"


def keep() -> None:
    """Make this process keep what it frees from now on, and check that it does.

    Raises
    ------
    KeepError
        If the settings are refused, or new arrays are new pages all the same.
    """
    mallopt = ctypes.CDLL(None).mallopt
    if not (mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, -1)):
        raise KeepError("mallopt refused M_MMAP_MAX = 0 or M_TRIM_THRESHOLD = -1; is another malloc loaded?")
    megabytes = 100
    new_pages(megabytes)
    faults = new_pages(megabytes)
    if faults > 100:
        raise KeepError(
            f"freed memory is not kept: an array of {megabytes} MiB is {faults} new pages at each allocation"
        )


def new_pages(megabytes: int) -> int:
    """Return how many pages the system had to bring for one array of that size, which is freed again."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    array = np.empty(megabytes * 2**20, np.uint8)
    array[::_PAGE] = 1
    del array
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
