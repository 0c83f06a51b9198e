"""Runs a kernel's tasks on the engine's own threads, shared by all callers.

Numba's threading layers are not used: the default one aborts the process when two Python threads call at
once, and another kills forked children. Here a caller takes the helpers that are free, and works itself, so
that nobody ever waits for a busy helper. A helper without work spins for a moment, ready for the next layer,
and then sleeps.
"""

from __future__ import annotations

import atexit
import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from numba import types

from convhub.backend import Array

from . import scratch
from .arguments import kinds_of, layout_of
from .availability import thread_limit
from .compile import address, compiled
from .helpers import Team, WorkerLoop, cores
from .interrupts import check, system
from .team import FEWEST_RANGES, launch, run_job, run_kernel, worker_loop

__all__ = [
    "Kernel", "compile_machinery", "end_helpers", "kernel", "ranges_for", "run", "usable_threads",
]  # fmt: skip

#: The most multiply-accumulates of a range of several tasks: a few milliseconds.
RANGE_WORK = 2**25

INT = types.int64


class Kernel(NamedTuple):
    """A compiled kernel, and what `team.launch` needs to call it."""

    launch: Callable[..., bool]  # `team.launch`
    runner: int  # the address of `run_kernel` for its types
    address: int
    layout: int  # the address of `table`
    table: Array  # of its arguments, see `arguments.layout_of`
    watch: tuple[int, ...]  # an argument before its scratch memory: a 0 if it asks whether to stop


def kernel(function: Any, memory: tuple[Any, ...], *arguments: Any) -> Kernel:
    """Compile a kernel that takes (first, last, the arrays `memory`, `arguments`), each of these types.

    `memory` are one-dimensional arrays of scratch memory, separate for each thread. A kernel whose
    third parameter is named `watch` gets an address that says whether to stop: `interrupts.told_to_stop`.
    """
    names = function.py_func.__code__.co_varnames
    watch: tuple[int, ...] = (0,) if names[2] == "watch" else ()
    memory = (INT,) * len(watch) + memory
    table = layout_of((*memory, *arguments))
    runner = address(run_kernel, *[INT] * 6, kinds_of(memory, arguments))
    code = address(function, INT, INT, *memory, *arguments)
    return Kernel(_launcher(), runner, code, table.ctypes.data, table, watch)


def ranges_for(work: int, threads: int) -> int:
    """Return into how many ranges each thread's tasks are cut, for `work` multiply-accumulates in all."""
    return max(FEWEST_RANGES, work // (threads * RANGE_WORK))


_team = Team()


def _new_team() -> None:
    global _team
    _team = Team()


def end_helpers() -> None:
    """Let all helpers finish their work and end; later calls start others."""
    team = _team
    _new_team()
    team.end(closed=False)


def _close() -> None:
    _team.end(closed=True)


# They must not look into mailboxes that the interpreter has freed. Later callers work alone.
atexit.register(_close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_team)  # a child has none of its parent's threads


def usable_threads(asked: int) -> int:
    """Return `asked`, at most the number of cores, and at most what ``NUMBA_NUM_THREADS`` says.

    Blocks for threads that would only take turns cost time and change no bits of a result.

    Raises
    ------
    ConfigurationError
        If that variable holds no number of threads.
    """
    limit = thread_limit()
    return min(asked, cores(), asked if limit is None else limit)


@functools.cache
def _run_job() -> int:
    return address(run_job, *[INT] * 8)


@functools.cache
def _launcher() -> Callable[..., bool]:
    return compiled(launch, *[INT] * 12)


@functools.cache
def _checker() -> int:
    return address(check, INT)


@functools.cache
def _worker_loop() -> WorkerLoop:
    return compiled(worker_loop, INT, INT)


def compile_machinery() -> None:
    """Compile what `run` needs beside the kernels: all of it, whatever the threads and the work."""
    for code in (_launcher, _run_job, _checker, _worker_loop):
        code()


_system: int = system.ctypes.data


def run(
    kernel: Kernel,
    tasks: int,
    threads: int,
    memory: tuple[Any, ...],
    arguments: tuple[Any, ...],
    ranges: int = FEWEST_RANGES,
) -> None:
    """Call the kernel for ranges that together cover ``range(tasks)``, on several threads.

    Parameters
    ----------
    kernel : Kernel
        Must give the same result however the ranges are cut.
    tasks : int
        How many tasks there are.
    threads : int
        How many threads may work at once, the calling one included.
    memory : tuple of arrays
        Scratch memory: each is cut into `threads` rows of equal length, one for each thread.
    arguments : tuple
        The other arguments of the kernel.
    ranges : int
        Into how many ranges each thread's tasks are cut; see `ranges_for`. With more than the fewest, the
        call is long enough to handle signals meanwhile.

    Raises
    ------
    RuntimeError
        If the kernel raised an error.
    BaseException
        If a signal's handler raises it meanwhile.
    """
    team, helpers = _team, 0
    if threads > 1:
        # More threads than cores would take turns.
        helpers = team.wake(min(threads, cores()) - 1, _worker_loop)
    long = ranges > FEWEST_RANGES
    items = kernel.watch + memory + arguments  # it lives until the call is over, which gets its address
    call = (
        _run_job(),
        kernel.runner,
        kernel.address,
        kernel.layout,
        tasks,
        threads,
        ranges,
        team.address,
        helpers,
        _system,
        _checker() if long else 0,  # a short call saves compiling it
        id(items),
    )
    if long:
        with scratch.set_aside():
            failed = kernel.launch(*call)
    else:
        failed = kernel.launch(*call)
    if threads > 1:
        team.come_back()
    if failed:
        raise RuntimeError("a compiled kernel raised an error, which is a defect: kernels have none to raise")
