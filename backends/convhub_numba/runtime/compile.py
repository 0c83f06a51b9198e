"""Compiles a kernel for the types of its arguments, or loads what an earlier process compiled."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import numba
from llvmlite.binding import ffi
from numba import types
from numba.core import event
from numba.core.compiler_lock import global_compiler_lock
from numba.core.runtime import rtsys

from convhub.backend import apart
from convhub.errors import ConfigurationError

from ..pipeline import KNOWN_VERSIONS
from ..vectors.half import stored_type
from . import companion, forks, kernel_cache
from .collection import collection_paused

__all__ = [
    "address", "compile_unclaimed", "compiled", "compiled_here", "float_array", "listed", "sizes_of",
]  # fmt: skip

log = logging.getLogger("convhub.numba")
_results: dict[tuple[Any, ...], Any] = {}

# Numba's lock and llvmlite's, which every call of LLVM takes; threads that take both do so in this order.
forks.wait_for(global_compiler_lock, ffi.lib._lock)


def float_array(dtype: str, dimensions: int) -> types.Array:
    """Return Numba's type of an array: contiguous if one-dimensional, of any strides otherwise."""
    return types.Array(stored_type(dtype), dimensions, "C" if dimensions == 1 else "A")


def sizes_of(kind: type) -> types.NamedUniTuple:
    """Return Numba's type of a NamedTuple of integers."""
    return types.NamedUniTuple(types.int64, len(kind._fields), kind)  # type: ignore[attr-defined]


def compiled(kernel: Any, *signature: Any) -> Callable[..., Any]:
    """Return the machine code of `kernel` for these argument types, from disk if it is there.

    The result does not check its arguments' types: Numba's dispatcher would, at each call, which takes longer
    than a small convolution.
    """
    result = _result(kernel, signature)
    entry: Callable[..., Any] = _not_to_be_called if result is None else result.entry_point
    return entry


def address(kernel: Any, *signature: Any) -> int:
    """Return the address of the machine code of `kernel` for these argument types, for `calls.call`."""
    result = _result(kernel, signature)
    return 0 if result is None else int(result.library.get_pointer_to_function(result.fndesc.llvm_func_name))


def _not_to_be_called(*_: Any) -> Any:
    """Stand in for a kernel that was listed."""
    raise AssertionError("a kernel was called where kernels are only listed")


@contextlib.contextmanager
def listed() -> Iterator[list[tuple[Any, ...]]]:
    """Give a list of the kernels that this block needs, which are neither compiled nor loaded, nor called.

    Whatever keeps addresses gets wrong ones here: a process that lists kernels runs none.
    """
    keys: list[tuple[Any, ...]] = []
    before = _listed.set(keys)
    try:
        yield keys
    finally:
        _listed.reset(before)


#: Set within `listed`.
_listed: contextvars.ContextVar[list[tuple[Any, ...]] | None] = contextvars.ContextVar("listed", default=None)


def compile_unclaimed(key: tuple[Any, ...]) -> None:
    """Compile a listed kernel, unless that has been done, or another process is doing it."""
    kernel, *signature = key
    if key not in _results:
        _attempt(kernel, tuple(signature), may_wait=True)


@contextlib.contextmanager
def compiled_here() -> Iterator[list[Any]]:
    """Give a list that gets each kernel that this block compiles, and none that was loaded from disk.

    Raises
    ------
    ConfigurationError
        If compiled kernels are not kept for later processes.
    """
    _check_kept(kernel_cache.folder() is None)
    made: list[Any] = []
    before = _compiled_here.set(made)
    try:
        yield made
    finally:
        _compiled_here.reset(before)
    _check_kept(bool(made))


#: Set within `compiled_here`, also in the thread that compiles, which has the caller's context.
_compiled_here: contextvars.ContextVar[list[Any] | None] = contextvars.ContextVar("compiled", default=None)


def _check_kept(wanted: bool) -> None:
    """Raise if kernels `wanted` on disk could not be written there."""
    reason = kernel_cache.why_not_kept()
    if wanted and reason is not None:
        raise ConfigurationError(
            f"compiled kernels are not kept: {reason}. Set {kernel_cache.VARIABLE} to a folder that has "
            "room, and that only you can write to"
        )


def _result(kernel: Any, signature: tuple[Any, ...]) -> Any | None:
    """Return Numba's result of compiling a kernel; it is kept, and with it the machine code.

    It is None for a kernel that is only listed.
    """
    key = (kernel, *signature)
    keys = _listed.get()
    if keys is not None:
        keys.append(key)
        return None
    result = _results.get(key)
    return apart(_made, key) if result is None else result


def _made(key: tuple[Any, ...]) -> Any:
    kernel, *rest = key
    signature = tuple(rest)
    result = _attempt(kernel, signature, may_wait=True)
    if result is None:
        # No lock is held meanwhile, as a fork would wait for it.
        kernel_cache.wait_for_others(kernel, signature)
        result = _attempt(kernel, signature, may_wait=False)
    return result


def _attempt(kernel: Any, signature: tuple[Any, ...], may_wait: bool) -> Any | None:
    """Return Numba's result; None, if the caller may wait, while another process is compiling the kernel."""
    key = (kernel, *signature)
    with forks.lock:
        result = _results.get(key) or _from_disk(kernel, signature)
        if result is None:
            with kernel_cache.claim(kernel, signature) as claimed:
                if may_wait and not claimed:
                    return None
                # Another process may have finished it just before the claim.
                result = _from_disk(kernel, signature) or _compile(kernel, signature)
        _results[key] = result
    return result


def _from_disk(kernel: Any, signature: tuple[Any, ...]) -> Any | None:
    """Return machine code that an earlier process has kept, or None.

    Before it loads any, Numba loads whatever compiling might need, which takes longer than all else in a
    process's first call. Machine code needs only the runtime's symbols of that.
    """
    with global_compiler_lock:
        if numba.version_info.short in KNOWN_VERSIONS:
            rtsys.initialize(kernel.targetctx)
        else:
            kernel.targetctx.refresh()
        return kernel_cache.load(kernel, signature)


#: Seconds of compiling in one process after which it is worth saying what would avoid them.
LONG = 1.0

_waited = 0.0


def _hint(seconds: float) -> str:
    """Count the seconds that calls have waited; once they are many, and only once, say what would help."""
    global _waited
    if _compiled_here.get() is not None:  # by `convhub compile` itself
        return ""
    before, _waited = _waited, _waited + seconds
    if before >= LONG or _waited < LONG:
        return ""
    return "; `convhub compile` would compile this process's kernels ahead of its calls"


class _Announce(event.Listener):
    """Say that a kernel is being compiled, before it starts: the caller waits for seconds."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.began = 0.0

    def on_start(self, event: Any) -> None:
        """Log one line for the kernel, and none for the functions that it calls."""
        if event.data["dispatcher"] is self.kernel:
            self.began = time.perf_counter()
            folder = kernel_cache.folder()
            kept = "not to be kept" if folder is None else f"to be kept in {folder}"
            log.info("compiling %s, %s", self._name, kept)

    def on_end(self, event: Any) -> None:
        """Log how long it took."""
        if event.data["dispatcher"] is self.kernel:
            seconds = time.perf_counter() - self.began
            log.info("compiling %s took %.1f s%s", self._name, seconds, _hint(seconds))

    @property
    def _name(self) -> str:
        return f"{self.kernel.__module__}.{self.kernel.__name__}"


def _compile(kernel: Any, signature: tuple[Any, ...]) -> Any:
    if _compiled_here.get() is None:  # several processes compile there already
        companion.compiling()
    with collection_paused(), event.install_listener("numba:compile", _Announce(kernel)):
        kernel.compile(signature)
    result = kernel.overloads[signature]
    kernel_cache.save(kernel, signature, result)
    counted = _compiled_here.get()
    if counted is not None:
        counted.append(kernel)
    return result
