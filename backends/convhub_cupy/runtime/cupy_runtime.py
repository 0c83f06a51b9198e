"""Compiles and launches kernels with CuPy.

`Runtime` is all that the engine needs of a device; tests replace it by an emulator that compiles the same
files for the CPU.
"""

from __future__ import annotations

import functools
import hashlib
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from convhub.errors import BackendError

from ..plan.variants import Source
from .failures import not_compiled

__all__ = ["COMPILE_OPTIONS", "INCLUDES", "CupyRuntime", "Runtime", "cupy_runtime"]

#: The folder of the kernels and of the files that they include.
INCLUDES = Path(__file__).parents[1] / "kernels"

COMPILE_OPTIONS = ("-std=c++17",)

Size = tuple[int, int, int]


class Runtime(Protocol):
    """The operations that the engine needs of a device."""

    @property
    def xp(self) -> Any:
        """The module that makes arrays: ``cupy``, or one with the same functions."""

    @property
    def capability(self) -> tuple[int, int]:
        """The compute capability of the current device, (9, 0) for sm_90, which tells its instructions."""

    def workspace(self, result: Any, size: int, dtype: Any) -> Any:
        """Return an uninitialised array for the work on `result`, to be dropped once that is enqueued.

        While a graph is captured, its memory is kept for as long as `result` is: the graph writes to both
        whenever it is launched.
        """

    def launch(
        self, source: Source, grid: Size, block: Size, arguments: Sequence[Any], shared_bytes: int = 0
    ) -> None:
        """Compile the kernel if necessary, and enqueue it on the caller's stream.

        `arguments` are arrays, of which the kernel gets the address of the first element; NumPy's scalars,
        by value; or None, a null pointer. `shared_bytes` of dynamic shared memory may be more than the 48 KB
        that any kernel gets, up to what the device has.
        """


class CupyRuntime:
    """Launches on the current device and stream; it never waits for either."""

    def __init__(self) -> None:
        import cupy

        self.xp = cupy

    @property
    def capability(self) -> tuple[int, int]:
        """See `Runtime`."""
        return _capability(self.xp, self.xp.cuda.Device().id)

    def workspace(self, result: Any, size: int, dtype: Any) -> Any:
        """See `Runtime`."""
        array = self.xp.empty(size, dtype)
        if self.xp.cuda.get_current_stream().is_capturing():
            weakref.finalize(result, _do_nothing, array).atexit = False
        return array

    def launch(
        self, source: Source, grid: Size, block: Size, arguments: Sequence[Any], shared_bytes: int = 0
    ) -> None:
        """See `Runtime`."""
        given = tuple(0 if argument is None else argument for argument in arguments)
        # A null pointer is as wide as a pointer, and so is a Python integer that CuPy passes.
        function = _function(self.xp, self.xp.cuda.Device().id, source, shared_bytes)
        function(grid, block, given, shared_mem=shared_bytes)


@functools.cache
def _capability(xp: Any, device: int) -> tuple[int, int]:
    digits = xp.cuda.Device(device).compute_capability  # "90", "120"
    return int(digits[:-1]), int(digits[-1])


@functools.cache
def _function(xp: Any, device: int, source: Source, shared_bytes: int) -> Any:
    """Return the compiled kernel, ready for that much dynamic shared memory.

    One for each device, since a module belongs to a context.

    Raises
    ------
    BackendError
        If the current stream is being captured, when no module may be loaded; or if compiling fails.
    """
    where = f"the kernel {source.name} of {source.file}"
    if xp.cuda.get_current_stream().is_capturing():
        raise BackendError(
            f"{where} is not compiled yet, and cannot be while a CUDA graph is captured: run the same "
            "problem once before the capture"
        )
    # CuPy's cache on disk does not check included files, so the options contain a digest of them.
    options = (*COMPILE_OPTIONS, f"-I{INCLUDES}", f"-DCONVHUB_SOURCES=0x{_content()}", *source.options)
    module = xp.RawModule(code=(INCLUDES / source.file).read_text(), options=options)
    function = module.get_function(source.name)
    try:
        granted = function.max_dynamic_shared_size_bytes  # CuPy compiles it when this is first read
    except (xp.cuda.compiler.CompileException, RuntimeError) as error:
        explained = not_compiled(where, device, _capability(xp, device), error, xp)
        if explained is None:
            raise
        raise explained from error
    # Never lowered: all amounts share one kernel, and the amount that it may use is its attribute.
    if granted < shared_bytes:
        function.max_dynamic_shared_size_bytes = shared_bytes
    return function


def _do_nothing(_: Any) -> None:
    """Do nothing: a finalizer keeps its argument alive."""


@functools.cache
def _content() -> str:
    """Return a number that changes with any file of the kernels."""
    files = sorted(path for path in INCLUDES.iterdir() if path.suffix in (".cu", ".cuh"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:15]


@functools.cache
def cupy_runtime() -> Runtime:
    """Return CuPy's runtime; it imports CuPy."""
    return CupyRuntime()
