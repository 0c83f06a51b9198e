"""Reads and writes the parts of a process's state that belong to the caller, as far as Python sees them."""

from __future__ import annotations

import builtins
import ctypes
import decimal
import faulthandler
import gc
import io
import locale
import logging
import os
import pickle
import random
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ...system import float_mode

__all__ = ["Part", "functions_of", "parts"]


class Part(NamedTuple):
    """One part of the state.

    `read` returns its value, which can be compared; `write` sets one that was read, or does nothing where
    that is not possible. ``other(value)`` is another value than the given one, if one can be set for the time
    of a call: what a backend sets to the same value at every call shows only if it had another before.
    """

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    other: Callable[[Any], Any] | None = None


def parts() -> list[Part]:
    """Return all parts that this system has, without those of torch."""
    found = [
        Part("the floating-point mode", _float_mode, _set_float_mode, lambda _: _FloatMode()),
        Part("NumPy's error state", np.geterr, _set_errors, _other_errors),
        Part("NumPy's function for errors", np.geterrcall, np.seterrcall),
        Part("NumPy's buffer size", np.getbufsize, np.setbufsize, lambda size: size + 16),
        Part("NumPy's print options", np.get_printoptions, _set_print_options, _other_print_options),
        Part("the state of random", random.getstate, random.setstate, lambda _: random.Random(8).getstate()),
        Part("the state of numpy.random", _numpy_random, _set_numpy_random, _other_numpy_random),
        Part("the environment", lambda: dict(os.environ), _set_environment, lambda _: dict(_AT_IMPORT)),
        Part("the working folder", os.getcwd, os.chdir, _other_folder),
        Part("signal handlers", _handlers, _set_handlers, _other_handlers),
        Part("the locale", lambda: locale.setlocale(locale.LC_ALL), _set_locale, _other_locale),
        Part("warnings filters", lambda: list(warnings.filters), _set_filters, _other_filters),
        Part("the function that shows warnings", *_attribute(warnings, "showwarning")),
        Part(
            "whether gc is enabled", gc.isenabled, lambda on: gc.enable() if on else gc.disable(), _opposite
        ),
        Part("gc thresholds", gc.get_threshold, lambda t: gc.set_threshold(*t), lambda t: (t[0] + 1, *t[1:])),
        Part("gc callbacks", lambda: list(gc.callbacks), _set_list(gc.callbacks), lambda _: []),
        Part("sys.path", lambda: list(sys.path), _set_list(sys.path), _other_path),
        Part("sys.meta_path", lambda: list(sys.meta_path), _set_list(sys.meta_path)),
        Part("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit, lambda n: n + 1),
        Part("the switch interval", sys.getswitchinterval, sys.setswitchinterval, lambda s: s * 1.5),
        Part("sys.stdout", *_attribute(sys, "stdout"), lambda _: io.StringIO()),
        Part("sys.stderr", *_attribute(sys, "stderr"), lambda _: io.StringIO()),
        Part("sys.excepthook", *_attribute(sys, "excepthook"), _forwarding),
        Part("sys.unraisablehook", *_attribute(sys, "unraisablehook"), _forwarding),
        Part("threading.excepthook", *_attribute(threading, "excepthook"), _forwarding),
        Part("the trace function", sys.gettrace, sys.settrace),
        Part("the profile function", sys.getprofile, sys.setprofile),
        Part("the stack size of threads", threading.stack_size, threading.stack_size),
        Part("the decimal context", _decimal, lambda one: decimal.setcontext(one.copy()), _other_decimal),
        Part("the root logger's level", lambda: logging.root.level, logging.root.setLevel, lambda n: n + 1),
        Part("the root logger's handlers", _root_handlers, _set_list(logging.root.handlers), lambda _: []),
        Part("logging.disable", lambda: logging.root.manager.disable, logging.disable),
        Part("whether faulthandler is enabled", faulthandler.is_enabled, _set_faulthandler),
    ]
    found += _of_posix()
    for module in (builtins, os, np):
        found.append(functions_of(module))
    return found


def _attribute(owner: Any, name: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    return lambda: getattr(owner, name), lambda value: setattr(owner, name, value)


def _set_list(target: list[Any]) -> Callable[[list[Any]], None]:
    def put(values: list[Any]) -> None:
        target[:] = values

    return put


def _opposite(value: bool) -> bool:
    return not value


def _forwarding(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: function(*arguments)


def functions_of(module: ModuleType) -> Part:
    """Return the public functions and classes of a module as a part: a backend may have replaced one."""
    names = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]

    def write(values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if getattr(module, name, None) is not value:
                setattr(module, name, value)

    return Part(f"functions of {module.__name__}", lambda: {n: vars(module).get(n) for n in names}, write)


# --- numbers ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _FloatMode:
    """What the calling thread computes with; `saved` also holds flags that any arithmetic may raise."""

    rounds_to_nearest: bool = True
    flushes_results: bool = False
    flushes_operands: bool = False
    traps: int = 0
    saved: bytes | None = field(default=None, compare=False, repr=False)


def _float_mode() -> _FloatMode:
    traps = getattr(ctypes.CDLL(None), "fegetexcept", None) if os.name == "posix" else None
    least, one, little = float_mode.LEAST, float_mode.ONE, float_mode.LITTLE
    return _FloatMode(
        one + little == one - little and -one - little == -one + little,
        float_mode.NEXT - least == 0,
        _SMALLEST * _GREAT == 0,
        0 if traps is None else traps(),
        float_mode.saved(),
    )


#: A subnormal number, and one by which it becomes normal.
_SMALLEST, _GREAT = 2.0**-1074, 2.0**60


def _set_float_mode(value: _FloatMode) -> None:
    float_mode.restore(value.saved)


def _set_errors(value: dict[str, Any]) -> None:
    np.seterr(**value)


def _other_errors(value: dict[str, Any]) -> dict[str, str]:
    return {kind: "warn" if how == "ignore" else "ignore" for kind, how in value.items()}


def _set_print_options(value: Any) -> None:
    np.set_printoptions(**value)


def _other_print_options(value: Any) -> Any:
    return {**value, "precision": value["precision"] + 1}


def _numpy_random() -> bytes:
    return pickle.dumps(np.random.get_state(legacy=False))  # noqa: NPY002 - what the caller may use


def _set_numpy_random(value: bytes) -> None:
    np.random.set_state(pickle.loads(value))  # noqa: NPY002


def _other_numpy_random(_: bytes) -> bytes:
    return pickle.dumps(np.random.RandomState(8).get_state(legacy=False))


def _decimal() -> _Decimal:
    return _Decimal(decimal.getcontext())


class _Decimal:
    """A copy of a decimal context that can be compared, but for its flags."""

    def __init__(self, context: decimal.Context) -> None:
        self._context = context.copy()

    def copy(self) -> decimal.Context:
        return self._context.copy()

    def _key(self) -> tuple[Any, ...]:
        one = self._context
        return (one.prec, one.rounding, one.Emin, one.Emax, one.capitals, one.clamp, one.traps)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Decimal) and self._key() == other._key()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"precision {self._context.prec}, {self._context.rounding}"


def _other_decimal(value: _Decimal) -> _Decimal:
    context = value.copy()
    context.prec += 1
    context.rounding = (
        decimal.ROUND_DOWN if context.rounding == decimal.ROUND_HALF_EVEN else decimal.ROUND_HALF_EVEN
    )
    return _Decimal(context)


# --- the system -------------------------------------------------------------------------------------------

#: The environment and the path for imports before any backend was called.
_AT_IMPORT = dict(os.environ)
_PATH_AT_IMPORT = list(sys.path)


def _set_environment(value: dict[str, str]) -> None:
    if dict(os.environ) == value:
        return
    for name in os.environ.keys() - value.keys():
        del os.environ[name]
    os.environ.update(value)


def _other_folder(value: str) -> str:
    folder = os.path.realpath(tempfile.gettempdir())
    return folder if os.path.realpath(value) != folder else os.path.dirname(folder)


def _other_path(value: list[str]) -> list[str]:
    return [entry for entry in value if entry in _PATH_AT_IMPORT]


def _handlers() -> dict[str, Any]:
    return {one.name: signal.getsignal(one) for one in sorted(signal.valid_signals()) if hasattr(one, "name")}


def _set_handlers(value: dict[str, Any]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for name, handler in value.items():
        number = getattr(signal, name)
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def _other_handlers(value: dict[str, Any]) -> dict[str, Any]:
    """Return the handlers with those that backends might set replaced by others, which call them."""
    if threading.current_thread() is not threading.main_thread():
        return value
    chosen = {name: value[name] for name in ("SIGINT", "SIGTERM", "SIGUSR1") if callable(value.get(name))}
    return {**value, **{name: _forwarding(handler) for name, handler in chosen.items()}}


def _set_locale(value: str) -> None:
    locale.setlocale(locale.LC_ALL, value)


def _other_locale(value: str) -> str:
    for name in ("C", "C.UTF-8", "POSIX"):
        try:
            found = locale.setlocale(locale.LC_ALL, name)
        except locale.Error:  # this system does not have it
            continue
        finally:
            locale.setlocale(locale.LC_ALL, value)
        if found != value:
            return found
    return value


def _set_filters(value: list[Any]) -> None:
    # Python caches which warnings were shown until it is told that the filters have changed.
    if list(warnings.filters) != value:
        warnings.filters[:] = value  # type: ignore[index]
        warnings.simplefilter("default", lineno=1)
        warnings.filters[:] = value  # type: ignore[index]


def _other_filters(value: list[Any]) -> list[Any]:
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.filterwarnings("ignore", message=".*")
        return list(warnings.filters)


def _root_handlers() -> list[Any]:
    return list(logging.root.handlers)


def _set_faulthandler(value: bool) -> None:
    if value != faulthandler.is_enabled():
        faulthandler.enable() if value else faulthandler.disable()


def _of_posix() -> Iterator[Part]:
    if os.name != "posix":
        return
    import resource

    kinds = {name: getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}

    def limits() -> dict[str, tuple[int, int]]:
        return {name: resource.getrlimit(kind) for name, kind in kinds.items()}

    def set_limits(value: dict[str, tuple[int, int]]) -> None:
        for name, (soft, hard) in value.items():
            if resource.getrlimit(kinds[name]) != (soft, hard):
                resource.setrlimit(kinds[name], (soft, hard))

    yield Part("resource limits", limits, set_limits)
    yield Part("the priority", lambda: os.getpriority(os.PRIO_PROCESS, 0), lambda _: None)
    yield Part("blocked signals", _blocked, lambda mask: signal.pthread_sigmask(signal.SIG_SETMASK, mask))
    if hasattr(os, "sched_getaffinity"):
        # Threads that are started later inherit what the calling thread has.
        yield Part("the calling thread's cores", lambda: os.sched_getaffinity(0), _set_cores)
    if os.path.exists("/proc/self/status"):
        yield Part("umask", lambda: int(_status("Umask"), 8), os.umask, lambda m: 0o77 if m != 0o77 else 0o27)
        yield Part("caught signals", lambda: (_status("SigCgt"), _status("SigIgn")), lambda _: None)
    with_variables = getattr(ctypes.CDLL(None), "environ", None)
    if with_variables is not None:
        yield Part("the environment of the C library", _c_environment, _set_c_environment)


def _blocked() -> set[int]:
    return {int(one) for one in signal.pthread_sigmask(signal.SIG_BLOCK, ())}


def _set_cores(value: set[int]) -> None:
    os.sched_setaffinity(0, value)


def _status(key: str) -> str:
    with open("/proc/self/status", encoding="ascii", errors="replace") as lines:
        return next((line.split()[1] for line in lines if line.startswith(f"{key}:")), "0")


def _c_environment() -> dict[bytes, bytes]:
    pointers = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    found: dict[bytes, bytes] = {}
    index = 0
    while pointers and pointers[index] is not None:
        name, _, value = pointers[index].partition(b"=")
        found[name] = value
        index += 1
    return found


def _set_c_environment(value: dict[bytes, bytes]) -> None:
    now = _c_environment()
    for name in now.keys() - value.keys():
        os.unsetenv(name)
    for name, text in value.items():
        if now.get(name) != text:
            os.putenv(name, text)
