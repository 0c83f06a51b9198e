"""Tells what the caller's own code raised from what a backend raised.

Python runs a signal handler between any two instructions of whatever the main thread is doing, a backend's
included. What the handler raises (a `TimeoutError` to end a call that takes too long, `SystemExit`) is meant
for the caller, and must not arrive as the backend's failure. The same holds for what NumPy and `warnings`
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
    """Return whether an error came out of code of the caller's that ran in the middle of something else.

    That is a signal handler, what `numpy.seterrcall` or ``warnings.showwarning`` was set to, or a function
    that traces or profiles. It is asked where an error is about to be attributed to a backend, so it costs
    nothing where none is raised.

    Parameters
    ----------
    error : BaseException
        As it was caught, with its traceback.

    Notes
    -----
    A handler is known by its code, or, since one may have put another in its place before it raised, by
    what Python gives to it: the very frame that it interrupted. A handler written in C has no frame. What
    Python's own one raises, `KeyboardInterrupt`, always counts as the caller's in the main thread, the only
    one that handlers run in.

    Examples
    --------
    >>> raised_by_caller(KeyboardInterrupt()), raised_by_caller(ValueError())
    (True, False)
    """
    if issubclass(type(error), KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
        return True
    known = set(_codes())
    return any(frame.f_code in known or _interrupted(frame) for frame in _frames(error))


def _frames(error: BaseException) -> Iterator[FrameType]:
    """Walk through the frames that an error passed, the innermost one last."""
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def _interrupted(frame: FrameType) -> bool:
    """Return whether a frame was given the one that it interrupted, as handlers of signals are.

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
    """Walk through the code of what may run in the middle of something else."""
    for number in signal.valid_signals():
        yield from _code_of(signal.getsignal(number))
    for hook in (np.geterrcall(), warnings.showwarning, sys.gettrace(), sys.getprofile()):
        yield from _code_of(hook)


def _code_of(function: Any) -> Iterator[CodeType]:
    """Yield the code that runs where `function` is called; nothing where that is none of Python's."""
    while isinstance(function, functools.partial | MethodType):
        function = function.func if isinstance(function, functools.partial) else function.__func__
    names = ("__call__", "write")  # NumPy calls the latter of an object that `numpy.seterrcall` was given
    for candidate in (function, *(getattr(type(function), name, None) for name in names)):
        code = getattr(getattr(candidate, "__func__", candidate), "__code__", None)
        if isinstance(code, CodeType):
            yield code
