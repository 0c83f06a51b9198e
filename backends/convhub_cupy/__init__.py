"""The GPU engine: CUDA kernels of our own on CuPy arrays, compiled when first used, and nothing of cuDNN.

Importing this module costs nothing: CuPy is imported when a primitive is first called.
"""

from __future__ import annotations

import importlib.util
import os

from convhub.backend import Answer, Array, Backend, Capabilities, Problem, RunOptions, hookimpl

__all__ = ["convhub_backends"]

_DTYPES = (
    "float32", "float64", "float16", "bfloat16", "complex64", "complex128",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip

#: The process that CUDA was first used in: its children cannot use it again.
_process: list[int] = []


def availability() -> Answer:
    """Return the first thing that is missing; asked late, since CuPy takes its time to import."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed: pip install 'convhub[cuda13]' (or 'convhub[cuda12]')"
    try:
        import cupy
    except ImportError as error:
        return f"CuPy is installed, but cannot be imported: {error}"
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CuPy is installed, but CUDA does not answer: {error}"
    if devices == 0:
        return "CuPy and a CUDA driver are there, but no device"
    return True


def _forward(x: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``y``; see `convhub.backend`."""
    from . import engine
    from .runtime import cupy_runtime

    _check_process()
    with x.device:
        return engine.forward(x, w, bias, problem, options, cupy_runtime())


def _grad_input(dy: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``dx``; see `convhub.backend`."""
    from . import engine
    from .runtime import cupy_runtime

    _check_process()
    with dy.device:
        return engine.grad_input(dy, w, bias, problem, options, cupy_runtime())


def _grad_weight(dy: Array, x: Array, problem: Problem, options: RunOptions) -> Array:
    """Return ``dw``; see `convhub.backend`."""
    from . import engine
    from .runtime import cupy_runtime

    _check_process()
    with dy.device:
        return engine.grad_weight(dy, x, problem, options, cupy_runtime())


def _check_process() -> None:
    """Refuse to go on in a child that was forked after CUDA had started."""
    if not _process:
        _process.append(os.getpid())
    if _process[0] != os.getpid():
        raise RuntimeError(
            "this process was forked after CUDA had started, and CUDA does not survive a fork: "
            "start processes by multiprocessing's method 'spawn'"
        )


def _algorithm(problem: Problem, options: RunOptions) -> str:
    from .engine import described

    return described(problem, options)


@hookimpl
def convhub_backends() -> list[Backend]:
    """Return the backend ``cupy``."""
    return [
        Backend(
            "cupy",
            Capabilities(dtypes=_DTYPES, devices=("cuda",), arrays="cupy"),
            _forward,
            _grad_input,
            _grad_weight,
            availability=availability,
            algorithm=_algorithm,
            # Below torch's, until these kernels have run on hardware: so far an emulator has seen them.
            preference={"cuda": 5},
            summary="CUDA kernels on CuPy arrays",
        )
    ]
