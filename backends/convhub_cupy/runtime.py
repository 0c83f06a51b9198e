"""What launches kernels: the seam between the planner, which knows no GPU, and CuPy.

The tests put an emulator here, which compiles the same files for the CPU.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

__all__ = ["COMPILE_OPTIONS", "INCLUDES", "CupyRuntime", "Runtime", "Source", "cupy_runtime"]

#: The folder of the kernels and of what they include.
INCLUDES = Path(__file__).parent

COMPILE_OPTIONS = ("-std=c++17",)

Size = tuple[int, int, int]


class Source(NamedTuple):
    """A kernel: the file, the function in it, and the macros that make it one of its variants."""

    file: str
    name: str
    options: tuple[str, ...]


class Runtime(Protocol):
    """What the engine needs of a device."""

    @property
    def xp(self) -> Any:
        """The module that makes arrays: ``cupy``, or what has the same functions."""

    def launch(
        self, source: Source, grid: Size, block: Size, arguments: Sequence[Any], shared_bytes: int = 0
    ) -> None:
        """Compile the kernel if need be, and enqueue it on the caller's stream.

        `arguments` are arrays, of which the kernel gets the address of the first element; NumPy's scalars,
        by value; or None, a null pointer.
        """


class CupyRuntime:
    """Launches on the current device and stream; it never waits for either."""

    def __init__(self) -> None:
        import cupy

        self.xp = cupy

    def launch(
        self, source: Source, grid: Size, block: Size, arguments: Sequence[Any], shared_bytes: int = 0
    ) -> None:
        """See `Runtime`."""
        given = tuple(0 if argument is None else argument for argument in arguments)
        # A null pointer is as wide as a pointer, which is what CuPy makes of a Python integer.
        _function(self.xp, self.xp.cuda.Device().id, source)(grid, block, given, shared_mem=shared_bytes)


@functools.cache
def _function(xp: Any, device: int, source: Source) -> Any:
    """Return the compiled kernel; one for each device, since a module belongs to a context."""
    # CuPy's cache on disk does not look into included files: their content is made a part of the options.
    options = (*COMPILE_OPTIONS, f"-I{INCLUDES}", f"-DCONVHUB_SOURCES=0x{_content()}", *source.options)
    module = xp.RawModule(code=(INCLUDES / source.file).read_text(), options=options)
    return module.get_function(source.name)


@functools.cache
def _content() -> str:
    """Return a number that changes with any of the files that kernels are made of."""
    files = sorted(path for path in INCLUDES.iterdir() if path.suffix in (".cu", ".cuh"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:15]


@functools.cache
def cupy_runtime() -> Runtime:
    """Return CuPy's runtime; it imports CuPy."""
    return CupyRuntime()
