"""A pool of threads of our own, for kernels that release the GIL.

Numba's own layers are not used: its default one aborts the process when two Python threads call at once,
and another kills forked children. Here concurrent callers share the pool, and each also works itself, so
that nobody ever waits for a busy pool.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

__all__ = ["run", "start_afresh", "usable_threads"]

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_size = 0


def start_afresh() -> None:
    """Make a new pool at the next call: for a forked child, which has none of its parent's threads."""
    global _lock, _pool, _pool_size
    _lock = threading.Lock()
    _pool = None
    _pool_size = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=start_afresh)


def usable_threads(asked: int) -> int:
    """Return `asked`, or less where ``NUMBA_NUM_THREADS`` in the environment says so; one at least."""
    limit = os.environ.get("NUMBA_NUM_THREADS")
    return max(1, min(asked, int(limit)) if limit else asked)


def _helpers(size: int) -> ThreadPoolExecutor:
    global _pool, _pool_size
    with _lock:
        if _pool is None or _pool_size < size:
            if _pool is not None:
                _pool.shutdown(wait=False)  # what it was given is still finished
            _pool = ThreadPoolExecutor(size, thread_name_prefix="convhub-numba")
            _pool_size = size
        return _pool


def run(work: Callable[[int, int], object], tasks: int, threads: int) -> None:
    """Call ``work(first, last)`` for ranges that together cover ``range(tasks)``, on several threads.

    Parameters
    ----------
    work : callable
        Must give the same result however the ranges are cut, and release the GIL while it computes.
    tasks : int
        How many tasks there are.
    threads : int
        How many threads may work at once, the calling one included.

    Raises
    ------
    Exception
        Whatever `work` raised.
    """
    threads = min(threads, tasks)
    if threads <= 1:
        if tasks:
            work(0, tasks)
        return
    # A few ranges for each thread, taken as they come: a thread that starts late or is slowed takes fewer.
    ranges = min(tasks, 4 * threads)
    counter = itertools.count()

    def take() -> None:
        while (index := next(counter)) < ranges:
            work(index * tasks // ranges, (index + 1) * tasks // ranges)

    while True:
        pool = _helpers(threads - 1)
        try:
            futures = [pool.submit(take) for _ in range(threads - 1)]
            break
        except RuntimeError:  # another caller has just replaced this pool by a larger one
            if pool is _pool:
                raise
    try:
        take()
    finally:
        # Helpers that have not begun find nothing left to do; those that have must end before we return.
        started = [future for future in futures if not future.cancel()]
        for future in started:
            future.exception()
    for future in started:
        future.result()
