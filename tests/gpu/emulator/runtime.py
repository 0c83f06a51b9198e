"""The CUDA backend's runtime on the CPU: NumPy arrays, and kernels that g++ compiled.

What a driver would refuse is refused: blocks that are too large, grids beyond its limits, too much shared
memory. What it would not even see is too: an argument of the wrong size, which the kernel would read with the
next one's bytes.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .compiling import EmulatorError, compiled, find_compiler

try:
    from numpy.lib.array_utils import byte_bounds
except ImportError:  # NumPy 1
    from numpy import byte_bounds

MOST_THREADS = 1024
MOST_PER_AXIS = {"grid": (2**31 - 1, 65535, 65535), "block": (1024, 1024, 64)}
#: Not of hardware, but of patience, and of a list of 32-bit numbers.
MOST_BLOCKS = 2**26
STATIC_SHARED = 48 * 1024
#: The codes of emulator's launch.h; one byte an element (and void) is memory of any kind.
ELEMENTS = {"float32": b"f", "float64": b"d", "float16": b"h", "bfloat16": b"b"}


class Source(Protocol):
    """What names a kernel: its file, its name in it, and the compiler's options."""

    file: str
    name: str
    options: tuple[str, ...]


class _Argument(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("bytes", ctypes.c_int),
        ("element_bytes", ctypes.c_int),
        ("kind", ctypes.c_char),
        ("element", ctypes.c_char),
        ("read_only", ctypes.c_char),
    )


class _Launch(ctypes.Structure):
    _fields_ = (
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared_bytes", ctypes.c_uint),
        ("seed", ctypes.c_uint64),
    )


def why_not() -> str | None:
    """Return why kernels cannot be emulated here, for pytest.mark.skipif."""
    compiler = find_compiler()
    return compiler if isinstance(compiler, str) else None


def sanitizer_is_loaded() -> bool:
    """Return whether this process was started by `sanitized`."""
    return hasattr(ctypes.CDLL(None), "__asan_init")


class EmulatedRuntime:
    """Launches kernels on NumPy arrays.

    Parameters
    ----------
    seed
        Of the order of threads and blocks, which differs from launch to launch too.
    sanitize
        Under ASan and UBSan, with each array in memory of exactly its size; the process must have been
        started by `sanitized`. None: if it was.
    folder
        Where files of kernels are that are not absolute: `convhub_cupy`'s own, if not said.
    cache
        Where libraries are kept: the user's cache, if not said.
    shared_limit
        The most shared memory of a block, static and dynamic.
    capability
        The compute capability that the device claims to have, for planners that ask.

    Examples
    --------
    >>> runtime = EmulatedRuntime(seed=1)
    >>> x = np.arange(64, dtype="float32")
    >>> source = Source("scale.cu", "scale", ("-DELEMENT=float",))
    >>> runtime.launch(source, (1, 1, 1), (64, 1, 1), [x, np.float32(2)])
    """

    xp: Any = np

    def __init__(
        self,
        seed: int = 0,
        sanitize: bool | None = False,
        *,
        folder: Path | None = None,
        cache: Path | None = None,
        shared_limit: int = 99 * 1024,
        capability: tuple[int, int] = (8, 0),
    ):
        if sanitize and not sanitizer_is_loaded():
            raise EmulatorError("sanitize=True needs ASan from the start: python -m gpu.emulator.sanitized")
        self.seed = seed
        self.sanitize = sanitizer_is_loaded() if sanitize is None else sanitize
        self.folder = folder
        self.cache = cache
        self.shared_limit = shared_limit
        self.capability = capability
        #: (file, name, options, grid, block) of launches, each once, for tests that ask which kernels ran.
        self.launched: list[tuple[str, str, tuple[str, ...], tuple[int, ...], tuple[int, ...]]] = []
        self._known: set[Any] = set()
        self._launches = 0

    def workspace(self, result: Any, size: int, dtype: Any) -> np.ndarray:
        """Return an uninitialised array; here are no graphs for whose sake it would live longer."""
        return self.xp.empty(size, dtype)

    def launch(
        self,
        source: Source,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        arguments: Sequence[Any],
        shared_bytes: int = 0,
    ) -> None:
        """Run the kernel to its end; raise EmulatorError for whatever is wrong with it or the launch."""
        where = f"{source.name} of {source.file}"
        _check_geometry(where, grid, block)
        library = compiled(self._path(source), source.name, tuple(source.options), self.sanitize, self.cache)
        # Red zones make static memory look larger under ASan.
        static = 0 if self.sanitize else library.handle.convhub_static_shared()
        if static > STATIC_SHARED or static + shared_bytes > self.shared_limit:
            raise EmulatorError(
                f"{where}: {static} bytes of static and {shared_bytes} of dynamic shared memory, where "
                f"{STATIC_SHARED} static and {self.shared_limit} in all are the most"
            )
        this = (source.file, source.name, tuple(source.options), tuple(grid), tuple(block))
        if this not in self._known:
            self._known.add(this)
            self.launched.append(this)
        self._launches += 1
        launch = _Launch(
            grid=tuple(map(int, grid)),
            block=tuple(map(int, block)),
            shared_bytes=int(shared_bytes),
            seed=self.seed * 1_000_003 + self._launches,
        )
        with _addresses(arguments, exact=self.sanitize) as addresses:
            described, values = _describe(where, arguments, addresses)
            with library.lock:
                fault = library.handle.convhub_launch(ctypes.byref(launch), described, len(arguments))
            del values
        if fault is not None:
            raise EmulatorError(f"{where}: {fault.decode(errors='replace')}")

    def _path(self, source: Source) -> Path:
        path = Path(source.file)
        if path.is_absolute():
            return path
        folder = self.folder
        if folder is None:
            folder = Path(importlib.util.find_spec("convhub_cupy").origin).parent / "kernels"
        return folder / path


def _check_geometry(where: str, grid: Sequence[int], block: Sequence[int]) -> None:
    for name, sizes in (("grid", grid), ("block", block)):
        most = MOST_PER_AXIS[name]
        if len(sizes) != 3 or not all(1 <= size <= limit for size, limit in zip(sizes, most, strict=True)):
            raise EmulatorError(f"{where}: {name} {tuple(sizes)}, where each is from 1 to {most}")
    if block[0] * block[1] * block[2] > MOST_THREADS:
        raise EmulatorError(f"{where}: block {tuple(block)}, where {MOST_THREADS} threads are the most")
    if grid[0] * grid[1] * grid[2] > MOST_BLOCKS:
        raise EmulatorError(
            f"{where}: grid {tuple(grid)}, where the emulator runs {MOST_BLOCKS} blocks at most"
        )


def _describe(where: str, arguments: Sequence[Any], addresses: Sequence[int]) -> tuple[Any, list[Any]]:
    """Return what the library is told of the arguments, and what must live as long as that."""
    described = (_Argument * max(len(arguments), 1))()
    values: list[Any] = []
    for index, (argument, address) in enumerate(zip(arguments, addresses, strict=True)):
        told = described[index]
        told.kind, told.element = b"p", b"v"
        if argument is None or isinstance(argument, np.ndarray):
            value = ctypes.c_void_p(address)
            told.bytes = ctypes.sizeof(value)
            if argument is not None:
                dtype = argument.dtype
                element = ELEMENTS.get(dtype.name, b"i" if dtype.kind in "iu" else b"s")
                told.element = b"v" if dtype.itemsize == 1 else element
                told.element_bytes = dtype.itemsize
                told.read_only = b"\0" if argument.flags.writeable else b"\1"
        elif isinstance(argument, np.bool_ | np.integer | np.floating):
            value = ctypes.create_string_buffer(argument.tobytes(), argument.nbytes)
            told.kind = b"f" if isinstance(argument, np.floating) else b"i"
            told.bytes = argument.nbytes
        else:
            raise EmulatorError(
                f"{where}: argument {index} is {argument!r}, a {type(argument).__name__}; "
                "a NumPy array, a NumPy scalar or None would do"
            )
        values.append(value)
        told.value = ctypes.addressof(value)
    return described, values


@contextmanager
def _addresses(arguments: Sequence[Any], exact: bool) -> Iterator[list[int]]:
    """Give the address of each array's first element; if `exact`, in a copy that ends where the array does.

    Arrays that overlap share a copy, and what is not in an array that may be written is not copied back.
    """
    arrays = [argument for argument in arguments if isinstance(argument, np.ndarray)]
    own = [a.ctypes.data if isinstance(a, np.ndarray) else 0 for a in arguments]
    if not exact:
        yield own
        return
    bounds = sorted(byte_bounds(array) for array in arrays if array.size)
    extents: list[list[int]] = []
    for low, high in bounds:
        if extents and low < extents[-1][1]:
            extents[-1][1] = max(high, extents[-1][1])
        else:
            extents.append([low, high])
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
    libc.free.argtypes = (ctypes.c_void_p,)
    # Vector loads are planned by how an array is aligned, so that its copy must be as well.
    blocks = [libc.malloc(low % 16 + high - low) for low, high in extents]
    nothing = libc.malloc(1)

    def moved(address: int) -> int:
        for (low, high), block in zip(extents, blocks, strict=True):
            if low <= address < high:
                return block + low % 16 + address - low
        return nothing + 1

    try:
        for low, high in extents:
            ctypes.memmove(moved(low), low, high - low)
        yield [
            moved(address) if isinstance(a, np.ndarray) else 0
            for a, address in zip(arguments, own, strict=True)
        ]
        for array in arrays:
            if array.size and array.flags.writeable:
                low, high = byte_bounds(array)
                ctypes.memmove(low, moved(low), high - low)
    finally:
        for block in (*blocks, nothing):
            libc.free(block)
