"""Shares a call's items among threads that live as long as the call.

An exception that interrupts the calling thread between two instructions (Ctrl-C, a signal handler that
raises) leaves nothing behind: the other threads stop at their next item, and end. If a thread cannot be
started, in a container at its limit or while the interpreter ends, the others do its share.
`concurrent.futures` does neither, and refuses to work once the main thread has ended.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue

import numpy as np

__all__ = ["run"]


def run(work: Callable[[Iterable[int]], None], count: int, threads: int) -> None:
    """Let `work` do the items 0 to `count` - 1, on up to `threads` threads, in shares of neighbours.

    Like the BLAS, and like convhub's other backends, the work does not warn of overflow or NaN.

    Parameters
    ----------
    work : callable
        Does the items that it is given; it does the items of one call on one thread.
    count, threads : int
        How many items there are, and how many threads may work at once, the calling one included.
    """
    threads = min(threads, count)
    if threads <= 1:
        if count:
            _quietly(work, range(count))
        return
    shares = deque(range(i * count // threads, (i + 1) * count // threads) for i in range(threads))
    stopped: list[None] = []  # once it has an element, no more items are begun
    failures: list[BaseException] = []
    ended: list[None] = []
    news: SimpleQueue[None] = SimpleQueue()

    def help_out() -> None:
        try:
            _take(work, shares, stopped)
        except BaseException as error:  # noqa: BLE001 - handed to the calling thread, which raises it
            failures.append(error)
            stopped.append(None)
        finally:
            ended.append(None)
            news.put(None)

    def wait() -> None:
        while len(ended) < len(started):
            with contextlib.suppress(Empty):  # a message may be lost to an exception here
                news.get(timeout=0.05)

    started: list[int] = []
    try:
        # Threads beyond the number of cores would only take turns.
        _start(help_out, min(threads, _cores()) - 1, started)
        _take(work, shares, stopped)
        wait()
    finally:
        stopped.append(None)
        wait()
    if failures:
        raise failures[0]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start(function: Callable[[], None], count: int, started: list[int]) -> None:
    """Start up to `count` threads, and note each in `started`."""
    if sys.is_finalizing():  # in a ``__del__``, for example; a thread started now never runs
        return
    for _ in range(count):
        try:
            # One call into C starts the thread and notes it: no handler of a signal can come between.
            started.extend(map(_thread.start_new_thread, (function,), ((),)))
        except RuntimeError:  # no more threads are available
            return


def _take(work: Callable[[Iterable[int]], None], shares: deque[range], stopped: list[None]) -> None:
    """Do shares until none is left."""
    while shares and not stopped:
        try:
            share = shares.popleft()
        except IndexError:  # another thread was faster
            return
        _quietly(work, _until(stopped, share))


def _until(stopped: list[None], share: range) -> Iterator[int]:
    for item in share:
        if stopped:
            return
        yield item


def _quietly(work: Callable[[Iterable[int]], None], items: Iterable[int]) -> None:
    # NumPy's error state belongs to a thread, so each share sets its own.
    with np.errstate(all="ignore"):
        work(items)
