"""Lets a process keep the memory that it frees, so that timings show the arithmetic and not the system.

By default glibc returns a large freed array to the system, and the next one of its size gets new pages, each
zeroed by the system when it is first touched: much of the time of a memory-bound layer. Both modes matter, so
both are timed, in separate processes, since mallopt cannot be undone.
"""

from __future__ import annotations

import ctypes
import platform

import numpy as np

from ..errors import ConvhubError

__all__ = ["KeepError", "can_keep", "keep"]

# From malloc.h of glibc. The size above which mmap is used (M_MMAP_THRESHOLD) can be at most 32 MiB, so mmap
# is disabled entirely; and the end of the heap is never returned.
_M_MMAP_MAX, _M_TRIM_THRESHOLD = -4, -1

_PAGE = 4096


class KeepError(ConvhubError):
    """Freed memory is returned to the system, although it should be kept."""


def can_keep() -> bool:
    """Return whether this is glibc, the only library known to have the settings."""
    return platform.libc_ver()[0] == "glibc"


def keep() -> None:
    """Make this process keep what it frees from now on, and check that it does.

    Raises
    ------
    KeepError
        If the settings are refused, or new arrays still get new pages.
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
    """Return how many new pages the system provides for one array of that size, which is freed again."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    array = np.empty(megabytes * 2**20, np.uint8)
    array[::_PAGE] = 1
    del array
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
