"""Allocates arrays right against pages that must not be touched, and makes an engine use only such arrays.

One element read or written past either end is a crash; the space between an array and the nearest page's
edge on the other side is filled with NaN, and checked after the call.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import importlib
import mmap
import pkgutil
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

#: An array's place between two guards: its end against the second, its start against the first, or as near
#: to the second as an odd address allows.
MODES = ("end", "start", "odd")
#: The size of the guards: a read a few rows too far hits them too.
GUARD_BYTES = 16 * mmap.PAGESIZE
#: A byte that makes NaN of floating-point numbers of any type.
FILLING = 0xFF

_libc = ctypes.CDLL(None, use_errno=True)


class Memory:
    """Guarded allocations of one call; `check` says which of them were written outside of their arrays."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self._allocations: list[tuple[str, np.ndarray, int, int]] = []

    def empty(self, shape: Any, dtype: Any = np.float64, what: str = "an array") -> np.ndarray:
        """Return an array full of NaN."""
        dtype = np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        odd = self.mode == "odd"
        pages = max(1, -(-(size + odd) // mmap.PAGESIZE)) * mmap.PAGESIZE
        mapped = mmap.mmap(-1, pages + 2 * GUARD_BYTES)
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        for place in (address, address + GUARD_BYTES + pages):
            if _libc.mprotect(ctypes.c_void_p(place), ctypes.c_size_t(GUARD_BYTES), 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        whole = np.frombuffer(mapped, np.uint8, pages, offset=GUARD_BYTES)
        whole[:] = FILLING
        first = 0 if self.mode == "start" else pages - size - odd
        self._allocations.append((what, whole, first, first + size))
        return whole[first : first + size].view(dtype).reshape(shape)

    def copy(self, array: Any, what: str = "an array") -> np.ndarray:
        """Return a copy of an array, contiguous."""
        values = np.asarray(array)
        placed = self.empty(values.shape, values.dtype, what)
        placed[...] = values
        return placed

    def holds(self, array: np.ndarray) -> bool:
        """Say whether an array lies in an allocation."""
        return any(np.may_share_memory(array, whole) for _, whole, _, _ in self._allocations)

    def check(self) -> list[str]:
        """Describe the writes outside of all arrays."""
        found = []
        for what, whole, first, last in self._allocations:
            for place, rest in (("before", whole[:first]), ("after", whole[last:])):
                if (rest != FILLING).any():
                    found.append(f"bytes {place} {what} were written")
        return found


class Place(NamedTuple):
    """A name in a module of an engine that means something which allocates: one of `_allocators`."""

    module: types.ModuleType
    name: str
    allocator: Any


def _allocators(package: types.ModuleType) -> list[Any]:
    """Return what an engine allocates by: its functions for scratch, `make_plan` for tables, and NumPy."""
    scratch = importlib.import_module(f"{package.__name__}.runtime.scratch")
    planner = importlib.import_module(f"{package.__name__}.planner")
    assert set(scratch.__all__) == {"scratch", "shared_scratch"}, "there is scratch of another kind"
    return [scratch.scratch, scratch.shared_scratch, planner.make_plan, np]


@functools.cache  # it looks at every name of the engine, and each of thousands of calls needs it
def _places(package: types.ModuleType) -> list[Place]:
    """Return where the modules that call kernels name an allocator."""
    allocators = _allocators(package)
    scratch = importlib.import_module(f"{package.__name__}.runtime.scratch")
    launch = importlib.import_module(f"{package.__name__}.launch")
    engine = importlib.import_module(f"{package.__name__}.engine")
    calling = [*allocators[:2], launch.launch, launch.launch_plain]
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    modules = [importlib.import_module(info.name) for info in found]
    callers = [m for m in modules if m is not scratch and any(v in calling for v in _functions(m))]
    return [
        Place(module, name, value)
        for module in (*callers, engine)
        for name, value in vars(module).items()
        if any(value is allocator for allocator in allocators)
    ]


@contextlib.contextmanager
def guarded(package: types.ModuleType, memory: Memory) -> Iterator[None]:
    """Have `package` (an engine laid out as convhub_numba is) allocate from guarded memory in a block.

    That covers results and all other arrays of the modules that call kernels, the tables of a plan, and
    scratch memory, which is new at each call and full of NaN; its integers are far outside of any array.
    """
    places = _places(package)
    scratch, shared_scratch, make_plan, numpy = _allocators(package)
    instead = {
        scratch: lambda items, integers, dtype, rows=1: (
            memory.empty(rows * items, dtype, "scratch"),
            _far_outside(memory.empty(rows * integers, np.int64, "integer scratch")),
        ),
        shared_scratch: lambda items, dtype: memory.empty(items, dtype, "shared scratch"),
        make_plan: lambda *arguments: _guarded_tables(make_plan(*arguments), memory),
        numpy: _Allocating(memory),
    }
    with contextlib.ExitStack() as undo:
        for place in places:
            setattr(place.module, place.name, instead[place.allocator])
            undo.callback(setattr, place.module, place.name, place.allocator)
        for module in {id(place.module): place.module for place in places}.values():
            undo.callback(_forget, module)
            _forget(module)
        yield


def _functions(module: types.ModuleType) -> list[Any]:
    return [value for value in vars(module).values() if isinstance(value, types.FunctionType)]


def _forget(module: types.ModuleType) -> None:
    """Clear the module's caches: they hold tables, each of which takes its own mappings."""
    vars(module).get("_known", {}).clear()


def _far_outside(integers: np.ndarray) -> np.ndarray:
    integers[...] = 2**40  # in elements: no mapping is that large
    return integers


def _guarded_tables(plan: Any, memory: Memory) -> Any:
    """Return a dataclass with the arrays in it copied, also those of dataclasses in tuples."""
    if isinstance(plan, tuple) and type(plan) is tuple:
        return tuple(_guarded_tables(part, memory) for part in plan)
    if isinstance(plan, np.ndarray):
        return memory.copy(plan, "a table")
    if dataclasses.is_dataclass(plan):
        parts = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan) if field.init}
        return dataclasses.replace(plan, **{n: _guarded_tables(part, memory) for n, part in parts.items()})
    return plan


class _Allocating:
    """NumPy, except for the functions that make arrays for kernels."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def empty(self, shape: Any, dtype: Any = np.float64) -> np.ndarray:
        return self._memory.empty(shape, dtype, "a new array")

    def zeros(self, shape: Any, dtype: Any = np.float64) -> np.ndarray:
        return self._memory.copy(np.zeros(shape, dtype), "new zeros")

    def array(self, *arguments: Any, **keywords: Any) -> np.ndarray:
        return self._memory.copy(np.array(*arguments, **keywords), "a new table")

    def ascontiguousarray(self, array: Any, dtype: Any = None) -> np.ndarray:
        return self._memory.copy(np.ascontiguousarray(array, dtype), "a contiguous copy")
