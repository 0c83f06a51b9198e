"""Registers the GPU engine, which runs its own CUDA kernels on CuPy arrays and nothing of cuDNN.

Importing this module costs nothing: CuPy is imported when a primitive is first called, and a kernel is
compiled when it is first launched.
"""

from __future__ import annotations

from convhub.backend import Accuracy, Answer, Array, Backend, Capabilities, Problem, RunOptions, hookimpl

from .options import Options
from .runtime.availability import availability as _availability
from .runtime.availability import refuse_after_fork

__all__ = ["Options", "convhub_backends", "convhub_contract"]

#: The version of the contract in `convhub.backend` that this backend was written for.
convhub_contract = 1

_DTYPES = (
    "float32", "float64", "float16", "bfloat16", "complex64", "complex128",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip


def _forward(x: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``y``; see `convhub.backend`."""
    return _run("forward", (x, w, bias), problem, options)


def _grad_input(dy: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``dx``; see `convhub.backend`."""
    return _run("grad_input", (dy, w, bias), problem, options)


def _grad_weight(dy: Array, x: Array, problem: Problem, options: RunOptions) -> Array:
    """Return ``dw``; see `convhub.backend`."""
    return _run("grad_weight", (dy, x), problem, options)


def _run(primitive: str, operands: tuple[Array, ...], problem: Problem, options: RunOptions) -> Array:
    """Run a primitive of `engine` on the operands' device, which need not be the current one."""
    from . import engine
    from .runtime import failures
    from .runtime.cupy_runtime import cupy_runtime

    refuse_after_fork()
    failures.refuse_odd_strides(operands)
    device, runtime = operands[0].device, cupy_runtime()
    try:
        with device:
            return getattr(engine, primitive)(*operands, problem, options, runtime)
    except (MemoryError, RuntimeError) as error:
        workspace = engine.workspace_bytes(problem, options, runtime)
        explained = failures.explained(error, problem, workspace, options, device, runtime.xp)
        if explained is None:
            raise
        raise explained from error


def _supports(problem: Problem) -> Answer:
    from .runtime.failures import BFLOAT16_UNKNOWN, knows_bfloat16

    return BFLOAT16_UNKNOWN if problem.dtype == "bfloat16" and not knows_bfloat16() else True


def _algorithm(problem: Problem, options: RunOptions) -> str:
    """Return which kernels would run, and in which tiles."""
    from .engine import described

    return described(problem, options, _capability())


def _accuracy(problem: Problem, options: RunOptions) -> Accuracy:
    """Return the accuracy class of the algorithm that would run."""
    from .engine import accuracy

    return accuracy(problem, options, _capability())


def _capability() -> tuple[int, int]:
    """Return the current device's compute capability; where there is no device, a recent one's."""
    from .plan.plan import TENSOR_CORES
    from .runtime.cupy_runtime import cupy_runtime

    return cupy_runtime().capability if _availability() is True else TENSOR_CORES


@hookimpl
def convhub_backends() -> list[Backend]:
    """Return the backend ``cupy``."""
    return [
        Backend(
            "cupy",
            Capabilities(dtypes=_DTYPES, devices=("cuda",), arrays="cupy", accuracy="normwise"),
            _forward,
            _grad_input,
            _grad_weight,
            availability=_availability,
            supports=_supports,
            algorithm=_algorithm,
            accuracy=_accuracy,
            options=Options,
            # Below torch's until these kernels have run on hardware: so far only an emulator has run them.
            preference={"cuda": 5},
            summary="CUDA kernels on CuPy arrays",
        )
    ]
