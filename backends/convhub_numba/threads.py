"""Threads of our own that help with a kernel's tasks, shared by all callers.

Numba's own layers are not used: its default one aborts the process when two Python threads call at once,
and another kills forked children. Here a caller takes the helpers that are free, and works itself, so that
nobody ever waits for a busy helper. A helper without work spins for a moment, ready for the next layer, and
then sleeps.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types

from .availability import thread_limit
from .compile import address, compiled
from .team import AWAKE, ENDED, FREE, JOB, MAILBOX_ITEMS, MOST_THREADS, conduct, lead, serve

__all__ = ["Kernel", "end_helpers", "kernel", "run", "usable_threads"]

MOST_HELPERS = MOST_THREADS - 1
PATIENCE = 200e-6  # seconds that a helper spins: a few times what waking one takes
TRIAL_LOOKS = 4000

INT = types.int64


class Kernel(NamedTuple):
    """A compiled kernel, and what shares its tasks among threads."""

    address: int
    lead: Callable[..., bool]


def kernel(function: Any, own: tuple[Any, ...], *arguments: Any) -> Kernel:
    """Compile a kernel that takes (first, last, the arrays `own`, `arguments`), each of these types.

    `own` are one-dimensional arrays of scratch memory, of which no two threads see the same.
    """
    taken = types.Tuple(tuple(map(types.unliteral, arguments)))
    sharing = compiled(lead, *[INT] * 7, types.Tuple(own), taken)
    return Kernel(address(function, INT, INT, *own, *arguments), sharing)


class _Team:
    """Helpers, each with a mailbox: a row of int64."""

    def __init__(self) -> None:
        self.mailboxes = np.zeros((MOST_HELPERS, MAILBOX_ITEMS), np.int64)
        self.address = self.mailboxes.ctypes.data
        self.lock = threading.Lock()
        self.threads: list[threading.Thread] = []
        self.asleep: dict[int, threading.Semaphore] = {}  # by number, of those that must be woken
        self.calls: list[None] = []  # one for each caller that has work for helpers, or will have at once

    def call_up(self, wanted: int) -> int:
        """See that so many helpers are awake, start them if need be, and return how many there are."""
        if len(self.threads) - len(self.asleep) < wanted:
            with self.lock:
                while len(self.threads) < min(wanted, MOST_HELPERS):
                    index = len(self.threads)
                    self.mailboxes[index, AWAKE] = 1
                    name = f"convhub-numba-{index}"
                    self.threads.append(
                        threading.Thread(target=self._help, args=(index,), name=name, daemon=True)
                    )
                    self.threads[-1].start()
                missing = wanted - (len(self.threads) - len(self.asleep))
                for index in sorted(self.asleep)[: max(0, missing)]:
                    self.mailboxes[index, AWAKE] = 1
                    self.asleep.pop(index).release()
        return len(self.threads)

    def _help(self, index: int) -> None:
        mailbox, woken = self.mailboxes[index], threading.Semaphore(0)
        serving, address = compiled(serve, INT, INT), mailbox.ctypes.data
        spins = index + 1 < _cores()  # else it would take a core from those who work
        looks = _looks(serving) if spins else 1
        while not mailbox[ENDED]:
            serving(address, looks)
            with self.lock:
                if mailbox[JOB] != FREE or mailbox[ENDED] or (spins and self.calls):
                    continue
                mailbox[AWAKE] = 0
                self.asleep[index] = woken
            woken.acquire()

    def end(self) -> None:
        """Let all helpers finish what they do, and end."""
        self.mailboxes[:, ENDED] = 1
        with self.lock:
            for woken in self.asleep.values():
                woken.release()
            self.asleep.clear()
        for thread in self.threads:
            thread.join()


def _looks(serving: Callable[[int, int], None]) -> int:
    """Return how often a helper looks into its mailbox before it sleeps."""
    nobody = np.zeros(MAILBOX_ITEMS, np.int64)
    start = time.perf_counter()
    serving(nobody.ctypes.data, TRIAL_LOOKS)
    return max(1, int(PATIENCE * TRIAL_LOOKS / (time.perf_counter() - start)))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_team = _Team()


def _new_team() -> None:
    global _team
    _team = _Team()


def end_helpers() -> None:
    """Let all helpers finish what they do, and end; later calls start others."""
    team = _team
    _new_team()
    team.end()


# They must not look into mailboxes that the interpreter has cleared away.
atexit.register(end_helpers)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_team)  # a child has none of its parent's threads


def usable_threads(asked: int) -> int:
    """Return `asked`, or less where ``NUMBA_NUM_THREADS`` in the environment says so.

    Raises
    ------
    ConfigurationError
        If that variable holds no number of threads.
    """
    limit = thread_limit()
    return asked if limit is None else min(asked, limit)


def _yielding() -> int:
    """Return the address of the system's function that lets other threads run."""
    function = ctypes.windll.kernel32.SwitchToThread if os.name == "nt" else ctypes.CDLL(None).sched_yield
    return ctypes.cast(function, ctypes.c_void_p).value or 0


_yield_address = _yielding()


@functools.cache
def _conductor() -> int:
    return address(conduct, *[INT] * 6)


def run(kernel: Kernel, tasks: int, threads: int, own: tuple[Any, ...], arguments: tuple[Any, ...]) -> None:
    """Call the kernel for ranges that together cover ``range(tasks)``, on several threads.

    Parameters
    ----------
    kernel : Kernel
        Must give the same result however the ranges are cut.
    tasks : int
        How many tasks there are.
    threads : int
        How many threads may work at once, the calling one included.
    own : tuple of arrays
        Scratch memory: each is cut into `threads` rows of equal length, of which each thread has one.
    arguments : tuple
        What the kernel takes beyond.

    Raises
    ------
    RuntimeError
        If the kernel raised an error.
    """
    team, helpers = _team, 0
    if threads > 1:
        team.calls.append(None)
        helpers = team.call_up(threads - 1)
    try:
        failed = kernel.lead(
            _conductor(),
            kernel.address,
            tasks,
            threads,
            team.address,
            helpers,
            _yield_address,
            own,
            arguments,
        )
    finally:
        if threads > 1:
            team.calls.pop()
    if failed:
        raise RuntimeError("a compiled kernel raised an error, which is a defect: kernels have none to raise")
