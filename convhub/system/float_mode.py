"""Runs backends in the usual floating-point mode, whatever mode the calling thread has.

A thread may round otherwise than to the nearest number, or flush subnormal numbers to zero:
`torch.set_flush_denormal` does that, and so do libraries compiled with ``-ffast-math``. A backend's own
threads have their own modes, so bits would vary from call to call. So the usual mode, if another is in force,
is set by the C library's ``fesetenv`` while a backend computes (on Linux and macOS, not elsewhere).
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

__all__ = ["LEAST", "LITTLE", "NEXT", "ONE", "in_usual_mode", "is_usual", "restore", "saved", "set_usual"]

Result = TypeVar("Result")

#: The two smallest normal numbers, whose difference would be flushed; and two numbers of which the second is
#: lost in the sum unless rounding is directed. Computing with subnormal operands would take longer.
LEAST, NEXT = 2.0**-1022, 2.0**-1022 * (1 + 2.0**-52)
ONE, LITTLE = 1.0, 2.0**-60


def is_usual() -> bool:
    """Return whether this thread rounds to the nearest number and does not flush subnormals.

    Examples
    --------
    >>> is_usual()
    True
    """
    return NEXT - LEAST != 0 and ONE + LITTLE == ONE - LITTLE


def in_usual_mode(function: Callable[..., Result], *arguments: Any) -> Result:
    """Return ``function(*arguments)``, computed in the usual mode; then restore the thread's own."""
    return function(*arguments) if is_usual() else set_usual(function, *arguments)


def set_usual(function: Callable[..., Result], *arguments: Any) -> Result:
    """Return the same as `in_usual_mode`, if the mode is known to be another one."""
    own = saved()
    if own is None:
        return function(*arguments)
    try:
        restore()
        return function(*arguments)
    finally:
        restore(own)


def saved() -> bytes | None:
    """Return this thread's mode as the C library saves it; None where that is not known."""
    environment = _environment()
    if environment is None:
        return None
    own = ctypes.create_string_buffer(512)  # known platforms need 32 bytes at most
    environment.get(own)
    return own.raw


def restore(mode: bytes | None = None) -> None:
    """Set this thread's mode to one that `saved` returned, or by default to the usual one."""
    environment = _environment()
    if environment is not None:
        environment.set(environment.usual if mode is None else mode)


class _Environment(NamedTuple):
    """The C library's functions, and its name of the environment that programs start with."""

    get: Callable[..., int]
    set: Callable[..., int]
    usual: ctypes.c_void_p


@functools.cache
def _environment() -> _Environment | None:
    names = {"linux": (None, "libm.so.6"), "darwin": (None, "libSystem.dylib")}.get(sys.platform, ())
    for name in names:
        try:
            library = ctypes.CDLL(name)
            usual = ctypes.c_void_p(-1)  # FE_DFL_ENV of glibc and musl
            if sys.platform == "darwin":
                usual = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.in_dll(library, "_FE_DFL_ENV")))
            return _Environment(library.fegetenv, library.fesetenv, usual)
        except (OSError, AttributeError, ValueError):  # no such library, or it lacks these functions
            continue
    return None
