"""Starts helper threads, wakes them, lets them sleep, and ends them.

An exception that interrupts a caller between two instructions (Ctrl-C, a signal handler that raises) leaves
nothing to put back: a helper is started and counted by one call into C, takes its number itself, notes itself
that it sleeps, and is woken by one call into C. A needless wake-up costs one look into a mailbox; the next
call makes up for a lost one. There is no lock that such an exception, a fork or a handler that itself calls
convhub could find locked.
"""

from __future__ import annotations

import _thread
import itertools
import os
import sys
import time
from collections.abc import Callable
from queue import SimpleQueue

import numpy as np

from .team import AWAKE, ENDED, FREE, JOB, MAILBOX_ITEMS, MOST_THREADS, WOKEN

__all__ = ["Team", "cores"]

MOST_HELPERS = MOST_THREADS - 1
PATIENCE = 200e-6  # seconds that a helper spins: a few times as long as waking one takes
TRIAL_LOOKS = 4000
CALL = 0.05  # seconds in which a caller has surely posted its job
RETRY = 1.0  # seconds until another thread is tried, once the system has refused one

WorkerLoop = Callable[[int, int], bool]


class Team:
    """Helpers, each with a mailbox: a row of int64."""

    def __init__(self) -> None:
        self.mailboxes = np.zeros((MOST_HELPERS, MAILBOX_ITEMS), np.int64)
        self.address: int = self.mailboxes.ctypes.data
        self.started: list[int] = []  # one for each helper ever started
        self.asleep: dict[int, SimpleQueue[None]] = {}  # by number: queues that wake sleeping helpers
        self.called = float("-inf")  # start of the latest call that is still running
        self.closed = False
        self._numbers = itertools.count()
        self._ended: SimpleQueue[None] = SimpleQueue()
        self._refused = float("-inf")

    def wake(self, wanted: int, make_worker_loop: Callable[[], WorkerLoop]) -> int:
        """Wake or start up to `wanted` helpers, and return how many are awake.

        There are fewer where no thread can be started; then the existing ones do the work.
        """
        self.called = time.monotonic()
        if len(self.started) - len(self.asleep) < wanted:
            self._start(min(wanted, MOST_HELPERS), make_worker_loop)
            self._wake(wanted - (len(self.started) - len(self.asleep)))
        return 0 if self.closed else len(self.started)

    def come_back(self) -> None:
        """Note that a caller no longer needs helpers; where an exception prevents that, `CALL` expires."""
        self.called = float("-inf")

    def _start(self, wanted: int, make_worker_loop: Callable[[], WorkerLoop]) -> None:
        if len(self.started) >= wanted or self.closed or sys.is_finalizing():
            return
        if time.monotonic() - self._refused < RETRY:
            return
        worker_loop = make_worker_loop()
        while len(self.started) < wanted:
            # A mailbox that a caller sees before its helper runs keeps a job until that job is over.
            self.mailboxes[len(self.started), WOKEN] = 1
            try:
                # One call into C starts the thread and counts it: no handler of a signal can come between.
                self.started.extend(map(_thread.start_new_thread, (self._help,), ((worker_loop,),)))
            except RuntimeError:  # no more threads are available: in a container at its limit, or at exit
                self._refused = time.monotonic()
                return

    def _wake(self, missing: int) -> None:
        for index, wake in sorted(self.asleep.items())[: max(0, missing)]:
            self.mailboxes[index, WOKEN] = 1
            wake.put(None)

    def _help(self, worker_loop: WorkerLoop) -> None:
        index = next(self._numbers)
        try:
            if index < MOST_HELPERS:
                self._serve(index, worker_loop)
        finally:
            self._ended.put(None)

    def _serve(self, index: int, worker_loop: WorkerLoop) -> None:
        mailbox, wake = self.mailboxes[index], SimpleQueue[None]()
        address = mailbox.ctypes.data
        spins = index + 1 < cores()  # else it would take a core from working threads
        looks = _looks(worker_loop) if spins else 1
        mailbox[AWAKE], mailbox[WOKEN] = 1, 0
        while not mailbox[ENDED]:
            worker_loop(address, looks)
            self.asleep[index] = wake
            # A caller that saw it awake before may have posted something by now, or be about to.
            if not (worker_loop(address, 1) or (spins and time.monotonic() - self.called < CALL)):
                mailbox[AWAKE] = 0
                if mailbox[JOB] == FREE and not mailbox[ENDED]:
                    wake.get()
                mailbox[AWAKE], mailbox[WOKEN] = 1, 0
            del self.asleep[index]

    def end(self, closed: bool) -> None:
        """Let all helpers finish their work and end; where `closed`, no more are started."""
        self.closed = closed
        self.mailboxes[:, ENDED] = 1
        for wake in list(self.asleep.values()):
            wake.put(None)
        for _ in range(len(self.started)):
            self._ended.get()


def _looks(worker_loop: WorkerLoop) -> int:
    """Return how often a helper looks into its mailbox before it sleeps."""
    nobody = np.zeros(MAILBOX_ITEMS, np.int64)
    start = time.perf_counter()
    worker_loop(nobody.ctypes.data, TRIAL_LOOKS)
    return max(1, int(PATIENCE * TRIAL_LOOKS / (time.perf_counter() - start)))


def cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
