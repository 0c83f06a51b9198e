"""Runs backends in the usual floating-point mode, whatever mode the calling thread has.

A thread may round otherwise than to the nearest number, or flush what lies below the normal numbers to zero:
`torch.set_flush_denormal` does that, and so do libraries that were compiled with ``-ffast-math``. A backend's
own threads have their own modes, so that bits would vary from call to call. Where the mode is not the usual
one, the usual one is set while a backend computes, by the C library's ``fesetenv`` (on Linux and macOS;
elsewhere the mode is left as it is).
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

__all__ = ["LEAST", "LITTLE", "NEXT", "ONE", "in_usual_mode", "is_usual", "set_usual"]

Result = TypeVar("Result")

#: The two least normal numbers, whose difference is flushed; and two of which the second is nothing beside
#: the first, unless one rounds to one side. To compute with what is below the normal numbers takes longer.
LEAST, NEXT = 2.0**-1022, 2.0**-1022 * (1 + 2.0**-52)
ONE, LITTLE = 1.0, 2.0**-60


def is_usual() -> bool:
    """Return whether this thread rounds to the nearest number and flushes none.

    Examples
    --------
    >>> is_usual()
    True
    """
    return NEXT - LEAST != 0 and ONE + LITTLE == ONE - LITTLE


def in_usual_mode(function: Callable[..., Result], *arguments: Any) -> Result:
    """Return ``function(*arguments)``, computed in the usual mode; the thread's own is put back."""
    return function(*arguments) if is_usual() else set_usual(function, *arguments)


def set_usual(function: Callable[..., Result], *arguments: Any) -> Result:
    """Return the same as `in_usual_mode`, where the mode is known to be another one."""
    environment = _environment()
    if environment is None:
        return function(*arguments)
    own = ctypes.create_string_buffer(512)  # it takes 32 bytes at most where we have looked
    environment.get(own)
    try:
        environment.set(environment.usual)
        return function(*arguments)
    finally:
        environment.set(own)


class _Environment(NamedTuple):
    """The C library's functions, and the environment that programs begin with, as it names that."""

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
        except (OSError, AttributeError, ValueError):  # no such library, or none of these functions in it
            continue
    return None
