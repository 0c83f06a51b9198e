"""Shares a kernel's tasks among threads that wait in machine code, without Python's lock.

Waking a sleeping thread, or passing it Python's lock, takes as long as a small layer. Here a helper waits in
`worker_loop`, spinning, for the address of a job in its mailbox; `launch` posts the job, takes tasks itself,
and returns when all are done. It does not wait for a helper that has not begun by then: the job is withdrawn.
"""

from __future__ import annotations

from .. import jit
from .arguments import BLOCK_ITEMS, ROWS, call_with_block, stack_memory, unpack
from .atomics import add, load, pause, replace, store, yield_cpu
from .calls import call_for_flag, call_without_lock
from .float_mode import default_float_mode, float_mode, set_float_mode
from .interrupts import CHECKING, GIVE_WAY, INTERRUPTED, LOOK, MODE, STOP, SYSTEM, raise_pending, told_to_stop

__all__ = [
    "AWAKE",
    "ENDED",
    "FEWEST_RANGES",
    "FREE",
    "JOB",
    "MAILBOX_ITEMS",
    "MOST_THREADS",
    "WOKEN",
    "launch",
    "run_job",
    "run_kernel",
    "worker_loop",
]  # fmt: skip

#: Indices in a mailbox: a job's address, or one of the states below; the row of scratch memory for the
#: helper; whether it must end; whether it is looking, which it sets itself; whether it has been woken, which
#: callers set.
JOB, ROW, ENDED, AWAKE, WOKEN = 0, 1, 2, 3, 4
MAILBOX_ITEMS = 16  # two cache lines: cores fetch them in pairs
MAILBOX_BYTES = 8 * MAILBOX_ITEMS
FREE, TAKEN, RESERVED = 0, -1, -2

#: Offsets in a job, in bytes. Fields that helpers write have separate cache lines.
RUNNER, BLOCK, KERNEL, TASKS, THREADS, RANGES = 0, 8, 16, 24, 32, 40
FAILED, DONE, NEXT = 128, 136, 256  # `interrupts` names the fields between
MOST_THREADS = 1024
JOB_ITEMS = NEXT // 8 + MOST_THREADS  # for each thread, its next range

FEWEST_RANGES = 4  # of each thread; a late or slow one leaves some to others
SPINS = 4096  # before the wait for a helper's last range yields to other threads


@jit.kernel()
def run_kernel(kernel, block, first, last, row, watch, kinds):
    """Call a kernel with (first, last, a row of each array of scratch memory, all other arguments).

    `kinds` is a type from `arguments.kinds_of`. In place of an integer among the scratch memory, the kernel
    gets `watch`, see `told_to_stop`. Return whether the kernel failed.
    """
    return call_with_block(kernel, block, first, last, row, watch, kinds)


@jit.part()
def run_ranges(job, row, watch):
    """Run ranges of a job's tasks until none is left: first those of this row, then those of others.

    A thread is likely to read in the next stage or call what it has written: fetching that from another
    core's cache takes longer than from its own.
    """
    tasks, threads, ranges = load(job + TASKS), load(job + THREADS), load(job + RANGES)
    for other in range(threads):
        owner = (row + other) % threads
        while not told_to_stop(watch):
            index = add(job + NEXT + 8 * owner, 1)
            if index >= ranges:
                break
            index += owner * ranges
            first, last = index * tasks // (ranges * threads), (index + 1) * tasks // (ranges * threads)
            if first == last:
                continue
            block = load(job + BLOCK)
            # A type is passed as None is.
            if call_for_flag(load(job + RUNNER), (load(job + KERNEL), block, first, last, row, watch, None)):
                store(job + FAILED, 1)


@jit.entry()
def worker_loop(mailbox, patience):
    """Run jobs as they come, until none has come for `patience` looks, or the helper must end.

    Return whether one came.
    """
    set_float_mode(default_float_mode())
    looks, served = 0, False
    while looks < patience and not load(mailbox + 8 * ENDED):
        job = load(mailbox)
        if job > 0 and replace(mailbox, job, TAKEN):
            run_ranges(job, load(mailbox + 8 * ROW), job)
            add(job + DONE, 1)  # from here on the job may be gone
            store(mailbox, FREE)
            looks, served = 0, True
        else:
            pause()
            looks += 1
    return served


@jit.kernel()
def run_job(job, tasks, threads, ranges, mailboxes, helpers, system, checking):
    """Post a job to the helpers that are free and wanted, take part in it, and wait for those in it.

    Return whether the kernel failed. An exception that a signal handler raises meanwhile is raised here.
    """
    store(job + TASKS, tasks)
    store(job + THREADS, threads)
    store(job + RANGES, ranges)
    for place in (FAILED, DONE, STOP, INTERRUPTED, LOOK):
        store(job + place, 0)
    store(job + SYSTEM, system)
    store(job + CHECKING, checking)
    for i in range(threads):
        store(job + NEXT + 8 * i, 0)
    posted = 0
    for i in range(helpers):
        mailbox = mailboxes + i * MAILBOX_BYTES
        looks = load(mailbox + 8 * AWAKE) or load(mailbox + 8 * WOKEN)
        if posted < threads - 1 and looks and replace(mailbox, FREE, RESERVED):
            posted += 1
            store(mailbox + 8 * ROW, posted)
            store(mailbox, job)
    mode = float_mode()
    store(job + MODE, mode)
    if mode != default_float_mode():
        set_float_mode(default_float_mode())
    # Reading a clock would slow a tiny call down, and a short one is over before anybody waits.
    run_ranges(job, 0, job + 1 if ranges > FEWEST_RANGES else job)
    # A helper that has not begun finds nothing left to do; one that has must end before we return.
    for i in range(helpers):
        posted -= replace(mailboxes + i * MAILBOX_BYTES, job, FREE)
    spins = 0
    while load(job + DONE) < posted:
        pause()
        spins += 1
        if spins > SPINS:
            yield_cpu(load(system + GIVE_WAY))
            if ranges > FEWEST_RANGES:
                told_to_stop(job + 1)
    if mode != default_float_mode():
        set_float_mode(mode)
    raise_pending(load(job + INTERRUPTED) != 0)
    return load(job + FAILED) != 0


@jit.entry_with_lock()
def launch(
    running, runner, kernel, layout, tasks, threads, ranges, mailboxes, helpers, system, checking, items
):
    """Run all tasks of the kernel at this address, on this thread and free helpers; return whether it failed.

    Parameters
    ----------
    running : int
        The address of `run_job`.
    runner : int
        The address of `run_kernel` for the kernel's types.
    kernel : int
        An address, as from `compile.address`. The kernel is called for ranges that together cover
        ``range(tasks)``.
    layout : int
        The address of the table of the kernel's arguments, see `arguments.layout_of`.
    tasks, threads, ranges : int
        How many there are, how many threads may work at once, and into how many ranges the tasks of each
        thread are cut.
    mailboxes, helpers : int
        The address of the first mailbox; how many helpers there are.
    system : int
        The address of `interrupts.system`.
    checking : int
        The address of `interrupts.check`.
    items : int
        The address of a tuple: the kernel's arguments, without the first and the last task. First come the
        arrays of scratch memory: each is one-dimensional, and cut into a row for each thread.
    """
    job, block = stack_memory(JOB_ITEMS), stack_memory(BLOCK_ITEMS)
    store(block + 8 * ROWS, threads)
    unpack(items, layout, block)
    store(job + RUNNER, runner)
    store(job + BLOCK, block)
    store(job + KERNEL, kernel)
    return call_without_lock(running, (job, tasks, threads, ranges, mailboxes, helpers, system, checking))
