"""Turns failures on a device into errors that say what to do about them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from convhub.backend import Array, Problem, RunOptions
from convhub.errors import ArgumentError, BackendError, BackendUnavailableError, OutOfMemoryError

from .availability import FORKED, INITIALIZATION_ERROR

__all__ = ["BFLOAT16_UNKNOWN", "explained", "knows_bfloat16", "not_compiled", "refuse_odd_strides"]

#: Statuses of CUDA's driver: machine code that is not for this chip, or that it cannot read.
WRONG_CODE = (200, 209, 218, 222)
DRIVER_OUT_OF_MEMORY = 2

BFLOAT16_UNKNOWN = "CuPy has bfloat16 only with ml_dtypes and NumPy 2.1.2 or newer: pip install ml_dtypes"


@functools.cache
def knows_bfloat16() -> bool:
    """Return whether CuPy makes arrays of bfloat16; tried with an empty one, which needs no device."""
    import cupy

    try:
        import ml_dtypes

        nowhere = cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(0, 0, None, 0), 0)
        cupy.ndarray((0,), np.dtype(ml_dtypes.bfloat16), nowhere)
    except (ImportError, ValueError):
        return False
    return True


def refuse_odd_strides(operands: tuple[Array | None, ...]) -> None:
    """Refuse arrays whose elements are not a whole number of elements apart, which no kernel can read.

    Raises
    ------
    ArgumentError
    """
    for operand in operands:
        if operand is not None and any(step % operand.itemsize for step in operand.strides):
            raise ArgumentError(
                f"an array of shape {operand.shape} has strides of {operand.strides} bytes; on a GPU they "
                f"must be multiples of an element's {operand.itemsize} bytes"
            )


def explained(
    error: Exception, problem: Problem, workspace: int, options: RunOptions, device: Any, xp: Any
) -> BackendError | None:
    """Return the error to raise instead of `error`, or None where `error` says enough.

    Parameters
    ----------
    workspace : int
        The bytes that `problem` takes beyond its arrays.
    device : cupy.cuda.Device
        The device that it was to run on.
    xp : module
        CuPy.
    """
    of_cuda = (xp.cuda.runtime.CUDARuntimeError, xp.cuda.driver.CUDADriverError)
    if isinstance(error, of_cuda) and error.status == INITIALIZATION_ERROR:
        return BackendUnavailableError(f"CUDA does not start ({error}); this happens where {FORKED}")
    if not isinstance(error, MemoryError):
        return None
    with device:
        free, total = xp.cuda.runtime.memGetInfo()
    results = {
        "forward": problem.output_bytes,
        "grad_input": problem.input_bytes,
        "grad_weight": problem.weight_bytes,
    }
    smaller = f", a workspace_limit below {options.workspace_limit:,}" if workspace else ""
    return OutOfMemoryError(
        f"cuda:{device.id} has too little memory for {problem}: the result takes "
        f"{results[problem.primitive]:,} bytes and the workspace {workspace:,}, and {free:,} of the device's "
        f"{total:,} are free, not counting what array libraries keep for reuse. Use a smaller "
        f"batch{smaller}, or delete arrays. ({error})"
    )


def not_compiled(
    kernel: str, device: int, capability: tuple[int, int], error: Exception, xp: Any
) -> Exception | None:
    """Return the error to raise where a kernel did not compile or load, or None as in `explained`."""
    refused = isinstance(error, xp.cuda.compiler.CompileException)
    if not refused:
        status = getattr(error, "status", None)
        if status is None:
            return _no_toolkit(kernel, error, xp)
        if isinstance(error, xp.cuda.driver.CUDADriverError) and status == DRIVER_OUT_OF_MEMORY:
            return MemoryError(f"there is no room to load {kernel}: {error}")
        if status not in WRONG_CODE:
            return None
    version, architectures = xp.cuda.nvrtc.getVersion(), xp.cuda.nvrtc.getSupportedArchs()
    oldest, newest = min(architectures), max(architectures)
    name = xp.cuda.runtime.getDeviceProperties(device)["name"].decode()
    architecture = 10 * capability[0] + capability[1]
    compiler = "NVRTC {}.{}".format(*version)
    chips = f"{compiler} compiles for sm_{oldest} to sm_{newest}, and {name} is sm_{architecture}"
    if architecture < oldest:
        return BackendUnavailableError(f"{chips}: it needs an older CUDA, {_reinstall(version[0] - 1, xp)}")
    if architecture not in architectures or not refused:
        return BackendUnavailableError(
            f"{chips}: it needs newer ones, pip install --upgrade cuda-toolkit cupy-cuda{_cuda_major(xp)}x "
            f"({kernel}: {_first_line(error)})"
        )
    return BackendError(
        f"{compiler} does not compile {kernel} for sm_{architecture} ({name}): {_first_line(error)}"
    )


def _no_toolkit(kernel: str, error: Exception, xp: Any) -> BackendUnavailableError:
    """Return the error for NVRTC or CUDA's headers not being found, whatever CuPy says about it."""
    return BackendUnavailableError(
        f"{kernel} cannot be compiled, since a part of CUDA's toolkit is missing: "
        f"pip install 'convhub[cuda{_cuda_major(xp)}]' ({error})"
    )


def _reinstall(major: int, xp: Any) -> str:
    return f"pip uninstall cupy-cuda{_cuda_major(xp)}x and pip install 'convhub[cuda{major}]'"


def _cuda_major(xp: Any) -> int:
    """Return the CUDA version that CuPy is made for, without the minor one."""
    return int(xp.cuda.runtime.runtimeGetVersion()) // 1000


def _first_line(error: Exception) -> str:
    """Return the first line of a compiler's log that names an error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[0] if lines else type(error).__name__)
