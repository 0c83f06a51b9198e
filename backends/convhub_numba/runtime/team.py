"""Shares a kernel's tasks among threads that wait in machine code, without Python's lock.

Waking a sleeping thread, or passing it Python's lock, takes as long as a small layer. Here a helper waits in
`worker_loop`, spinning, for the address of a job in its mailbox; `launch` posts the job, takes tasks itself,
and returns when all are done. It does not wait for a helper that has not begun by then: the job is withdrawn.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .. import jit
from ..vectors.emitter import INT64
from .atomics import add, load, pause, replace, store, yield_cpu
from .calls import call_for_flag, native_call
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
RUNNER, ARGUMENTS, KERNEL, TASKS, THREADS, RANGES = 0, 8, 16, 24, 32, 40
FAILED, DONE, NEXT = 128, 136, 256  # `interrupts` names the fields between
MOST_THREADS = 1024
JOB_BYTES = NEXT + 8 * MOST_THREADS  # for each thread, its next range

FEWEST_RANGES = 4  # of each thread; a late or slow one leaves some to others
SPINS = 4096  # before the wait for a helper's last range yields to other threads


@intrinsic
def new_job(typing_context: Any, kernel: Any, rows: Any, own: Any, arguments: Any) -> Any:
    """Return the address of a job for a kernel; it and what it refers to live until the caller returns.

    Each thread has one row of each array in `own`; in place of an integer the kernel gets the address that
    tells whether to stop, see `interrupts.told_to_stop`.
    """
    kinds = (types.int64, types.int64, *own.types, *map(types.unliteral, arguments.types))

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kernel, rows, *tuples = values
        kept = [rows, *(item for group in tuples for item in cgutils.unpack_tuple(builder, group))]
        block = cgutils.alloca_once_value(builder, cgutils.pack_struct(builder, kept))
        runner = _runner(context, builder.module, block.type, own.types, kinds)
        job = cgutils.alloca_once(builder, ir.ArrayType(INT64, JOB_BYTES // 8))
        address = builder.ptrtoint(job, INT64)
        for offset, value in ((RUNNER, runner), (ARGUMENTS, block), (KERNEL, kernel)):
            number = value if value is kernel else builder.ptrtoint(value, INT64)
            builder.store(number, cgutils.gep_inbounds(builder, job, 0, offset // 8))
        return address

    return types.int64(types.int64, rows, own, arguments), generate


def _runner(context: Any, module: Any, block_type: Any, own: Any, kinds: Any) -> Any:
    """Return a function of (kernel, block, first, last, row, watch): 1 if the kernel failed, else 0."""
    runner = ir.Function(module, ir.FunctionType(INT64, [INT64] * 6), module.get_unique_name("runner"))
    runner.linkage = "internal"
    builder = ir.IRBuilder(runner.append_basic_block())
    kernel, block, first, last, row, watch = runner.args
    rows, *kept = cgutils.unpack_tuple(builder, builder.load(builder.inttoptr(block, block_type)))
    each = [
        watch if kind == types.int64 else _row(context, builder, kind, kept[i], rows, row)
        for i, kind in enumerate(own)
    ]
    values = [first, last, *each, *kept[len(own) :]]
    status, _ = native_call(context, builder, kernel, types.none, kinds, values)
    builder.ret(builder.zext(status.is_error, INT64))
    return runner


def _row(context: Any, builder: Any, kind: Any, array: Any, rows: Any, row: Any) -> Any:
    """Return a row of a one-dimensional array that holds several."""
    view = context.make_array(kind)(context, builder, array)
    items = builder.sdiv(view.nitems, rows)
    view.data = builder.gep(view.data, [builder.mul(items, row)])
    view.nitems = items
    view.shape = cgutils.pack_array(builder, [items])
    return view._getvalue()


@intrinsic
def run_range(
    typing_context: Any, runner: Any, kernel: Any, block: Any, first: Any, last: Any, row: Any, watch: Any
) -> Any:
    """Call the function that `_runner` has made; return 1 if the kernel failed, else 0."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        function_type = ir.FunctionType(INT64, [INT64] * 6)
        return builder.call(builder.inttoptr(values[0], function_type.as_pointer()), values[1:])

    return types.int64(*[types.int64] * 7), generate


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
            runner, block = load(job + RUNNER), load(job + ARGUMENTS)
            if run_range(runner, load(job + KERNEL), block, first, last, row, watch):
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


@jit.entry()
def launch(running, kernel, tasks, threads, ranges, mailboxes, helpers, system, checking, own, arguments):
    """Run all tasks of the kernel at this address, on this thread and free helpers; return whether it failed.

    Parameters
    ----------
    running : int
        The address of `run_job`.
    kernel : int
        An address, as from `compile.address`. The kernel is called with (first, last, a row of each array of
        `own`, and all of `arguments`), for ranges that together cover ``range(tasks)``.
    tasks, threads, ranges : int
        How many there are, how many threads may work at once, and into how many ranges the tasks of each
        thread are cut.
    mailboxes, helpers : int
        The address of the first mailbox; how many helpers there are.
    system : int
        The address of `interrupts.system`.
    checking : int
        The address of `interrupts.check`.
    own : tuple
        Scratch memory: each array is one-dimensional, and cut into a row for each thread.
    arguments : tuple
        The other arguments of the kernel.
    """
    job = new_job(kernel, threads, own, arguments)
    return call_for_flag(running, (job, tasks, threads, ranges, mailboxes, helpers, system, checking))
