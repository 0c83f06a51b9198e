"""The fast CPU engine: Numba kernels whose inner loops are written as LLVM vector code.

Importing this module costs nothing: Numba is imported when a primitive is first called.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType

from convhub.backend import (
    Accuracy,
    Array,
    Backend,
    CachedKernel,
    Capabilities,
    KernelCache,
    KernelProfile,
    Problem,
    RunOptions,
    apart,
    hookimpl,
)

from .options import Options
from .runtime import forks
from .runtime.availability import availability

__all__ = ["Options", "backend", "convhub_backends", "convhub_contract"]

#: The version of the contract in `convhub.backend` that this backend was written for.
convhub_contract = 1


@functools.cache
def _engine() -> ModuleType:
    """Return the module with the primitives: an import statement at each call takes longer."""
    return apart(_imported, "engine")


@functools.cache
def _planner() -> ModuleType:
    """Return the module that chooses algorithms."""
    return apart(_imported, "planner")


def _imported(name: str) -> ModuleType:
    """Import a module of this package, and Numba with it; a half-imported one cannot be imported again."""
    with forks.lock:
        return importlib.import_module(f"{__name__}.{name}")


def _forward(x: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``y``; see `convhub.backend`."""
    return _engine().forward(x, w, bias, problem, options)


def _grad_input(dy: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``dx``; see `convhub.backend`."""
    return _engine().grad_input(dy, w, bias, problem, options)


def _grad_weight(dy: Array, x: Array, problem: Problem, options: RunOptions) -> Array:
    """Return ``dw``; see `convhub.backend`."""
    return _engine().grad_weight(dy, x, problem, options)


def _compile(problem: Problem, options: RunOptions) -> int:
    """Compile all kernels that calls of a problem may launch; see `convhub.backend`."""
    count: int = _engine().compile_kernels(problem, options)
    return count


def _expect(problem: Problem, options: RunOptions) -> None:
    """Have another process compile what a later call will need; see `convhub.backend`."""
    _engine().expect(problem, options)


def _algorithm(problem: Problem, options: RunOptions) -> str:
    """Name the algorithm that would run, and its blocks."""
    described: str = _planner().make_plan(problem, options).described
    return described


def _accuracy(problem: Problem, options: RunOptions) -> Accuracy:
    """Return the accuracy class of the algorithm that would run."""
    planner = _planner()
    found: Accuracy = planner.algorithm_of(problem, planner.make_plan(problem, options)).accuracy
    return found


@functools.cache
def _kept() -> ModuleType:
    """Return the module that lists and changes the compiled kernels that are kept."""
    return apart(_imported, "runtime.kernel_cache.contents")


def _folder() -> str:
    """Return the folder of compiled kernels; see `convhub.backend.KernelCache`."""
    found: str = _kept().folder()
    return found


def _entries() -> list[CachedKernel]:
    """Return the compiled kernels that are kept."""
    found: list[CachedKernel] = _kept().entries()
    return found


def _remove(name: str) -> None:
    """Remove a compiled kernel."""
    _kept().remove(name)


def _read(name: str) -> bytes:
    """Return a compiled kernel as bytes."""
    content: bytes = _kept().read(name)
    return content


def _write(name: str, content: bytes) -> None:
    """Keep a compiled kernel that `_read` returned."""
    _kept().write(name, content)


def _compile_profile(problem: Problem, options: RunOptions) -> list[KernelProfile]:
    """Compile the same kernels without their files, and measure each; see `convhub.backend`."""
    profiled = apart(_imported, "runtime.compile_profile").profiled
    found: list[KernelProfile] = profiled(lambda: _engine().compile_kernels(problem, options))
    return found


backend = Backend(
    "numba",
    Capabilities(dtypes=("float16", "bfloat16", "float32", "float64"), accuracy="normwise"),
    _forward,
    _grad_input,
    _grad_weight,
    availability=availability,
    algorithm=_algorithm,
    accuracy=_accuracy,
    compile=_compile,
    expect=_expect,
    options=Options,
    preference={"cpu": 30},
    summary="fast CPU kernels, compiled by Numba for this machine's vector units",
    kernel_cache=KernelCache(folder=_folder, entries=_entries, remove=_remove, read=_read, write=_write),
    compile_profile=_compile_profile,
)


@hookimpl
def convhub_backends() -> list[Backend]:
    """Return this plugin's one backend."""
    return [backend]
