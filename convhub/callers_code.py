"""Distinguishes errors of the caller's own code from errors of a backend.

Python runs a signal handler between any two instructions of the main thread, including those of a backend.
The handler's error (a `TimeoutError` to end a call that takes too long, `SystemExit`) is meant for the
caller, and must not arrive as the backend's failure. The same holds for functions that NumPy and `warnings`
call on the caller's behalf, and for functions that trace a program.
"""

from __future__ import annotations

import functools
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from types import CodeType, FrameType, MethodType
from typing import Any

import numpy as np

__all__ = ["raised_by_caller"]


def raised_by_caller(error: BaseException) -> bool:
    """Return whether an error came from the caller's own code, run in the middle of something else.

    That is a signal handler, a function set by `numpy.seterrcall` or as ``warnings.showwarning``, or one that
    traces or profiles. This is called only before an error is attributed to a backend, so it costs nothing
    if none is raised.

    Parameters
    ----------
    error : BaseException
        The caught error, with its traceback.

    Notes
    -----
    A handler is recognized by its code, or, since it may have installed another one before it raised, by
    the argument that Python passes to it: the very frame that it interrupted. A handler written in C has no
    frame. `KeyboardInterrupt`, which Python's own handler raises, always counts as the caller's in the main
    thread, the only one that handlers run in.

    Examples
    --------
    >>> raised_by_caller(KeyboardInterrupt()), raised_by_caller(ValueError())
    (True, False)
    """
    if issubclass(type(error), KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
        return True
    trace = error.__traceback__
    if trace is None or trace.tb_next is None:
        return False  # raised in the frame that caught it, or by C code called there
    known = set(_codes())
    return any(frame.f_code in known or _interrupted(frame) for frame in _frames(error))


def _frames(error: BaseException) -> Iterator[FrameType]:
    """Yield the frames that an error passed through, innermost last."""
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def _interrupted(frame: FrameType) -> bool:
    """Return whether a frame got the one that it interrupted as an argument, as signal handlers do.

    A handler takes ``(number, frame)``, by whatever names, or as ``*_``.
    """
    code, below = frame.f_code, frame.f_back
    if below is None:
        return False
    count = code.co_argcount + bool(code.co_flags & 0x04)  # inspect.CO_VARARGS
    if count == 0:
        return False
    names = code.co_varnames[: code.co_argcount]
    if code.co_flags & 0x04:
        names += (code.co_varnames[code.co_argcount + code.co_kwonlyargcount],)
    values = frame.f_locals
    for name in names:
        value = values.get(name)
        if value is below or (type(value) is tuple and any(item is below for item in value)):
            return True
    return False


def _codes() -> Iterator[CodeType]:
    """Yield the code of functions that may run in the middle of something else."""
    for number in signal.valid_signals():
        yield from _code_of(signal.getsignal(number))
    for hook in (np.geterrcall(), warnings.showwarning, sys.gettrace(), sys.getprofile()):
        yield from _code_of(hook)


def _code_of(function: Any) -> Iterator[CodeType]:
    """Yield the code that runs when `function` is called; nothing if that is not Python code."""
    while isinstance(function, functools.partial | MethodType):
        function = function.func if isinstance(function, functools.partial) else function.__func__
    names = ("__call__", "write")  # NumPy calls `write` of an object passed to `numpy.seterrcall`
    for candidate in (function, *(getattr(type(function), name, None) for name in names)):
        code = getattr(getattr(candidate, "__func__", candidate), "__code__", None)
        if isinstance(code, CodeType):
            yield code
