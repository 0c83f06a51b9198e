"""Handles Ctrl-C, and any other signal, while a kernel runs.

Python runs the handler of a signal in its main thread, between two bytecode instructions. A call of many
seconds would not reach any: so the thread that leads it asks Python regularly, in machine code, to run
pending handlers. If one raises, all threads of the job stop at their next look, and the call ends with that
exception. Python can interrupt nothing between the two.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.callconv import RETCODE_EXC
from numba.extending import intrinsic

from .. import jit
from ..vectors.emitter import INT64
from .atomics import load, store
from .calls import call_for_flag
from .float_mode import default_float_mode, set_float_mode

__all__ = [
    "CHECKING", "GIVE_WAY", "INTERRUPTED", "LOOK", "LOOK_EVERY", "MODE", "STOP", "SYSTEM", "check",
    "raise_pending", "system", "told_to_stop",
]  # fmt: skip

#: Offsets in a job, in bytes: whether all threads must stop; whether a handler has raised; when to look next;
#: the caller's floating-point mode; the table `system`; the address of `check`.
STOP, INTERRUPTED, LOOK, MODE, SYSTEM, CHECKING = 144, 152, 48, 56, 64, 72

#: Offsets in the table `system`, in bytes: addresses of functions of the system and of Python, the clock's
#: number, and the number of the thread in which handlers run.
GIVE_WAY, CLOCK, WHICH_CLOCK, IDENT, MAIN, ENSURE, SIGNALS, RELEASE = range(0, 64, 8)

PERIOD = 100_000_000  # nanoseconds between two looks; Python's lock may take five milliseconds to get
NEVER = 2**62
LOOK_EVERY = 64  # elements, or rows of them, that plain loops compute between two looks
ON_WINDOWS = os.name == "nt"


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _system() -> Any:
    python = ctypes.pythonapi
    if ON_WINDOWS:
        kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
        of_system = (_address(kernel.SwitchToThread), _address(kernel.GetTickCount64), 0)
    else:
        library = ctypes.CDLL(None)
        of_system = (_address(library.sched_yield), _address(library.clock_gettime), time.CLOCK_MONOTONIC)
    of_python = map(
        _address, (python.PyGILState_Ensure, python.PyErr_CheckSignals, python.PyGILState_Release)
    )
    ident, main = _address(python.PyThread_get_thread_ident), threading.main_thread().ident
    return np.array([*of_system, ident, main, *of_python], np.uint64).view(np.int64)


#: The table above; it lives as long as the process, since helpers may look at it until the end.
system = _system()


def _note_main_thread() -> None:
    system[MAIN // 8] = np.uint64(threading.get_ident()).view(np.int64)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_main_thread)  # the thread that forked is the main one there


def _call(builder: Any, address: Any, returned: Any, *arguments: Any) -> Any:
    kind = ir.FunctionType(returned, [argument.type for argument in arguments])
    return builder.call(builder.inttoptr(address, kind.as_pointer()), arguments)


@intrinsic
def nanoseconds(typing_context: Any, function: Any, which: Any) -> Any:
    """Return the time of the system's clock, whose function is at this address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if ON_WINDOWS:
            return builder.mul(_call(builder, values[0], INT64), ir.Constant(INT64, 1_000_000))
        time = cgutils.alloca_once(builder, ir.ArrayType(INT64, 2))
        _call(builder, values[0], ir.IntType(32), builder.trunc(values[1], ir.IntType(32)), time)
        seconds, rest = (builder.load(cgutils.gep_inbounds(builder, time, 0, i)) for i in (0, 1))
        return builder.add(builder.mul(seconds, ir.Constant(INT64, 10**9)), rest)

    return types.int64(types.int64, types.int64), generate


@intrinsic
def this_thread(typing_context: Any, function: Any) -> Any:
    """Return Python's number of the calling thread; `function` is ``PyThread_get_thread_ident``."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.IntType(32) if ON_WINDOWS else INT64  # an unsigned long
        number = _call(builder, values[0], kind)
        return builder.zext(number, INT64) if ON_WINDOWS else number

    return types.int64(types.int64), generate


@intrinsic
def handler_raises(typing_context: Any, ensure: Any, signals: Any, release: Any) -> Any:
    """Run pending signal handlers; return whether one raised, which is then this thread's error."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        number = ir.IntType(32)
        state = _call(builder, values[0], number)
        raised = builder.icmp_signed("!=", _call(builder, values[1], number), ir.Constant(number, 0))
        _call(builder, values[2], ir.VoidType(), state)
        return raised

    return types.boolean(*[types.int64] * 3), generate


@intrinsic
def raise_pending(typing_context: Any, pending: Any) -> Any:
    """Leave the function with the error that Python has for this thread, if `pending`."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        with cgutils.if_unlikely(builder, values[0]):
            builder.ret(RETCODE_EXC)
        return context.get_dummy_value()

    return types.void(types.boolean), generate


@jit.kernel()
def check(job):
    """Run signal handlers if it is time; return whether one raised, after which all threads must stop."""
    system = load(job + SYSTEM)
    now = nanoseconds(load(system + CLOCK), load(system + WHICH_CLOCK))
    if now < load(job + LOOK):
        return False
    if load(job + LOOK) == 0:  # the very first look
        main = this_thread(load(system + IDENT)) == load(system + MAIN)
        store(job + LOOK, now + PERIOD if main else NEVER)
        return False
    set_float_mode(load(job + MODE))  # handlers run in the caller's mode
    raised = handler_raises(load(system + ENSURE), load(system + SIGNALS), load(system + RELEASE))
    set_float_mode(default_float_mode())
    store(job + LOOK, nanoseconds(load(system + CLOCK), load(system + WHICH_CLOCK)) + PERIOD)
    if raised:
        store(job + INTERRUPTED, 1)
        store(job + STOP, 1)
    return raised


@jit.part()
def told_to_stop(watch):
    """Return whether a kernel must abandon its tasks, since the result is no longer needed.

    A kernel asks after some tens of microseconds of work at a time: `watch` is the address of the job, plus 1
    in the leading thread of a long job.
    """
    job = watch & ~1
    if load(job + STOP):
        return True
    if watch & 1:
        return call_for_flag(load(job + CHECKING), (job,))
    return False
