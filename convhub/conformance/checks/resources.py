"""Checks that memory, open files and threads do not grow from call to call."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import glob
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

from ...reference.operands import operands
from ..calls import compute
from ..trial import CheckFailure, Trial

__all__ = ["flat_resources"]

#: What grows in each of so many batches grows with the calls; what is made once does not.
BATCHES = 3
#: The calls of a batch; fewer if they take longer than so many seconds, but at least so many.
CALLS, ENOUGH, LEAST = 200, 0.1, 4
#: The seconds in which threads that are ending must have ended.
PATIENCE = 0.5


def flat_resources(trial: Trial) -> None:
    """Check that memory, open files, threads and processes do not grow over some hundreds of calls."""
    given = operands(trial.problem, trial.seed, bias=True)

    def call() -> None:
        compute(trial, given)

    with _frozen():
        calls = _batch(call, CALLS)
        levels = [_levels()]
        for _ in range(BATCHES):
            _batch(call, calls, to_the_end=True)
            levels.append(_settled(levels[-1]))
    for name, (per_call, noise) in _LEAKS.items():
        growth = [after[name] - before[name] for before, after in itertools.pairwise(levels)]
        if min(growth) >= per_call * calls + noise:
            raise CheckFailure(
                trial,
                f"{name} grew by {sum(growth):,} over {BATCHES * calls} calls of one problem, in each of "
                f"{BATCHES} batches; it must not grow from call to call",
            )


#: What is measured, and how much growth in a batch is a leak: so much per call, and more than is noise.
#: Python's objects are counted, larger ones have memory of malloc, and memory of neither is seen by pages.
_LEAKS = {
    "the number of Python's blocks of memory": (0.5, 30),
    "the bytes allocated by malloc": (16, 4096),
    "the bytes of resident memory": (4096, 2**18),
    "the number of open files": (0, 1),
    "the number of Python's threads": (0, 1),
    "the number of threads": (0, 1),
    "the number of child processes": (0, 1),
}


def _batch(call: Callable[[], None], calls: int, to_the_end: bool = False) -> int:
    """Make so many calls, or fewer if that takes too long; return how many."""
    end = time.monotonic() + ENOUGH
    for made in range(1, calls + 1):
        call()
        if not to_the_end and made >= LEAST and time.monotonic() > end:
            return made
    return calls


def _settled(before: dict[str, int]) -> dict[str, int]:
    """Return how much there is of everything, after threads that are ending have ended."""
    end = time.monotonic() + PATIENCE
    while True:
        now = _levels()
        busy = any(now[name] > before[name] for name in now if "threads" in name or "processes" in name)
        if not busy or time.monotonic() > end:
            return now
        time.sleep(0.005)


def _levels() -> dict[str, int]:
    gc.collect()
    return {
        "the number of Python's blocks of memory": sys.getallocatedblocks(),
        "the bytes allocated by malloc": _malloc_bytes(),
        "the bytes of resident memory": _resident_bytes(),
        "the number of open files": _entries("/proc/self/fd", "/dev/fd"),
        "the number of Python's threads": threading.active_count(),
        "the number of threads": _entries("/proc/self/task"),
        "the number of child processes": _children(),
    }


def _entries(*folders: str) -> int:
    """Return the number of entries of the first folder that there is; 0 if there is none."""
    for folder in folders:
        if os.path.isdir(folder):
            return len(os.listdir(folder))
    return 0


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # only Linux has it
        return 0


def _children() -> int:
    count = 0
    for path in glob.glob("/proc/self/task/*/children"):
        # A thread may have ended since.
        with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
            count += len(file.read().split())
    return count


_MALLOC_COUNTS = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks"),
    "keepcost",
)


class _MallocCounts(ctypes.Structure):
    """The struct mallinfo2 of glibc's <malloc.h>."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in _MALLOC_COUNTS)


@functools.cache
def _mallinfo() -> Callable[[], _MallocCounts] | None:
    if os.name != "posix":
        return None
    function = getattr(ctypes.CDLL(None), "mallinfo2", None)  # glibc 2.33
    if function is None:
        return None
    function.restype = _MallocCounts
    found: Callable[[], _MallocCounts] = function
    return found


def _malloc_bytes() -> int:
    """Return the bytes that are allocated by malloc; 0 if the C library does not tell."""
    function = _mallinfo()
    if function is None:
        return 0
    counts = function()
    return int(counts.uordblks) + int(counts.hblkhd)


@contextlib.contextmanager
def _frozen() -> Iterator[None]:
    """Let the collector of garbage look only at what is made in a block, which takes less time."""
    free = gc.get_freeze_count() == 0
    if free:
        gc.freeze()
    try:
        yield
    finally:
        if free:
            gc.unfreeze()
