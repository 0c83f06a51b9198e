"""Sharing a kernel's tasks among threads that wait in machine code, without Python's lock.

To wake a sleeping thread, or to hand it Python's lock, takes as long as a small layer. Here a helper waits in
`serve`, spinning, for the address of a job in its mailbox; `lead` posts the job, takes tasks itself, and
comes back when all are done. A helper that has not begun by then is not waited for: the job is withdrawn.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from . import jit
from .atomics import add, give_way, load, pause, replace, store
from .calls import call_for_flag, native_call
from .vector_ir import INT64

__all__ = ["AWAKE", "ENDED", "FREE", "JOB", "MAILBOX_ITEMS", "MOST_THREADS", "conduct", "lead", "serve"]

#: What stands in a mailbox: a job's address, or one of the states below; the row of scratch memory that the
#: helper shall use; whether the helper shall end; whether it looks, or sleeps.
JOB, ROW, ENDED, AWAKE = 0, 1, 2, 3
MAILBOX_ITEMS = 16  # two cache lines: cores fetch them in pairs
MAILBOX_BYTES = 8 * MAILBOX_ITEMS
FREE, TAKEN, RESERVED = 0, -1, -2

#: Where what stands in a job, in bytes. What helpers write has cache lines of its own.
RUNNER, ARGUMENTS, KERNEL, TASKS, THREADS, FAILED, DONE, NEXT = 0, 8, 16, 24, 32, 128, 136, 256
MOST_THREADS = 1024
JOB_BYTES = NEXT + 8 * MOST_THREADS  # for each thread, the next of its ranges

RANGES = 4  # of each thread; one that starts late or is slowed leaves some to others
SPINS = 4096  # until what still waits for a helper's last range gives way to other threads


@intrinsic
def new_job(typing_context: Any, kernel: Any, rows: Any, own: Any, arguments: Any) -> Any:
    """Return the address of a job for a kernel; it and what it refers to live until the caller returns."""
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
    """Return a function of (kernel, block, first, last, row) that returns 1 if the kernel failed, else 0."""
    runner = ir.Function(module, ir.FunctionType(INT64, [INT64] * 5), module.get_unique_name("runner"))
    runner.linkage = "internal"
    builder = ir.IRBuilder(runner.append_basic_block())
    kernel, block, first, last, row = runner.args
    rows, *kept = cgutils.unpack_tuple(builder, builder.load(builder.inttoptr(block, block_type)))
    arrays = [_row(context, builder, kind, kept[i], rows, row) for i, kind in enumerate(own)]
    values = [first, last, *arrays, *kept[len(own) :]]
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
    typing_context: Any, runner: Any, kernel: Any, block: Any, first: Any, last: Any, row: Any
) -> Any:
    """Call what `_runner` has made; return 1 if the kernel failed, else 0."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        function_type = ir.FunctionType(INT64, [INT64] * 5)
        return builder.call(builder.inttoptr(values[0], function_type.as_pointer()), values[1:])

    return types.int64(*[types.int64] * 6), generate


@jit.part()
def take(job, row):  # type: ignore[no-untyped-def]
    """Run ranges of a job's tasks until there are none left: first those of this row, then those of others.

    What one thread has written it is likely to read in the next stage or call: to fetch it from another
    core's cache takes longer than from its own.
    """
    tasks, threads = load(job + TASKS), load(job + THREADS)
    for other in range(threads):
        owner = (row + other) % threads
        while True:
            index = add(job + NEXT + 8 * owner, 1)
            if index >= RANGES:
                break
            index += owner * RANGES
            first, last = index * tasks // (RANGES * threads), (index + 1) * tasks // (RANGES * threads)
            if first == last:
                continue
            if run_range(load(job + RUNNER), load(job + KERNEL), load(job + ARGUMENTS), first, last, row):
                store(job + FAILED, 1)


@jit.entry()
def serve(mailbox, patience):  # type: ignore[no-untyped-def]
    """Run what jobs come, until none has come for `patience` looks, or the helper shall end."""
    looks = 0
    while looks < patience and not load(mailbox + 8 * ENDED):
        job = load(mailbox)
        if job > 0 and replace(mailbox, job, TAKEN):
            take(job, load(mailbox + 8 * ROW))
            add(job + DONE, 1)  # from here on the job may be gone
            store(mailbox, FREE)
            looks = 0
        else:
            pause()
            looks += 1


@jit.kernel()
def conduct(job, tasks, threads, mailboxes, helpers, yielding):  # type: ignore[no-untyped-def]
    """Post a job to as many helpers as are free and wanted, take part in it, and wait for those in it.

    Return whether the kernel failed.
    """
    store(job + TASKS, tasks)
    store(job + THREADS, threads)
    store(job + FAILED, 0)
    store(job + DONE, 0)
    for i in range(threads):
        store(job + NEXT + 8 * i, 0)
    posted = 0
    for i in range(helpers):
        mailbox = mailboxes + i * MAILBOX_BYTES
        if posted < threads - 1 and load(mailbox + 8 * AWAKE) and replace(mailbox, FREE, RESERVED):
            posted += 1
            store(mailbox + 8 * ROW, posted)
            store(mailbox, job)
    take(job, 0)
    # Whoever has not begun finds nothing left to do; those who have must end before we return.
    for i in range(helpers):
        posted -= replace(mailboxes + i * MAILBOX_BYTES, job, FREE)
    looks = 0
    while load(job + DONE) < posted:
        pause()
        looks += 1
        if looks > SPINS:
            give_way(yielding)
    return load(job + FAILED) != 0


@jit.entry()
def lead(conducting, kernel, tasks, threads, mailboxes, helpers, yielding, own, arguments):  # type: ignore[no-untyped-def]
    """Run all tasks of the kernel at this address, on this thread and on free helpers; say whether it failed.

    Parameters
    ----------
    conducting : int
        The address of `conduct`.
    kernel : int
        An address, as from `compile.address`. The kernel is called with (first, last, a row of each array of
        `own`, and all of `arguments`), for ranges that together cover ``range(tasks)``.
    tasks, threads : int
        How many there are, and how many threads may work at once.
    mailboxes, helpers : int
        The address of the first mailbox; how many helpers there are.
    yielding : int
        The address of the system's function that lets other threads run.
    own : tuple of arrays
        Scratch memory: each is one-dimensional, and cut into a row for each thread.
    arguments : tuple
        All that the kernel takes beyond.
    """
    job = new_job(kernel, threads, own, arguments)
    return call_for_flag(conducting, (job, tasks, threads, mailboxes, helpers, yielding))
