"""Says whether CUDA can be used from this process, and if not, what is missing and what helps."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from convhub.backend import Answer
from convhub.errors import BackendUnavailableError

__all__ = ["availability", "refuse_after_fork"]

#: The first driver of each major CUDA version, which also runs code compiled by its minor versions:
#: docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
FIRST_DRIVERS = {12: "525", 13: "580"}

#: The statuses of CUDA's runtime that have a separate message here.
INITIALIZATION_ERROR = 3
NO_DEVICE = 100

FORKED = (
    "this process was forked from one in which CUDA had started, and CUDA does not survive a fork: "
    "start processes by multiprocessing's method 'spawn' or 'forkserver'"
)

NAME_A_FOLDER = "set CUPY_CACHE_DIR to a folder that only you can write to"

#: The process that CUDA was first used in: its children cannot use it again.
_process: list[int] = []


def availability() -> Answer:
    """Return the first thing that is missing; called late, since CuPy is slow to import."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed: pip install 'convhub[cuda13]' (or 'convhub[cuda12]')"
    # Without a home CuPy would make a folder named ~ in the working folder, and run code from it.
    if not os.environ.get("CUPY_CACHE_DIR") and not os.path.isabs(os.path.expanduser("~")):
        return f"CuPy has no folder for compiled kernels, since the home folder is unknown: {NAME_A_FOLDER}"
    try:
        import cupy
    except ImportError as error:
        # CuPy raises a page of advice around the reason.
        return f"CuPy is installed, but cannot be imported: {error.__cause__ or error}"
    except OSError as error:  # while it makes that folder
        return f"CuPy is installed, but cannot be imported: {error}; {NAME_A_FOLDER}"
    runtime = cupy.cuda.runtime
    outdated = _check_driver(runtime.driverGetVersion(), runtime.runtimeGetVersion())
    if outdated:
        return outdated
    if _started_elsewhere():  # counting devices would start CUDA
        return FORKED
    return _check_device(runtime) or _check_compiler(cupy) or True


def refuse_after_fork() -> None:
    """Note that CUDA is used in this process, and refuse to continue in one that was forked after that.

    Raises
    ------
    BackendUnavailableError
    """
    if _started_elsewhere():
        raise BackendUnavailableError(FORKED)


def _started_elsewhere() -> bool:
    if not _process:
        _process.append(os.getpid())
    return _process[0] != os.getpid()


def _check_driver(driver: int, needed: int) -> str:
    """Return why a driver for the CUDA version `driver` (13020 for 13.2, 0 for none) does not suffice."""
    if driver == 0:
        return (
            "there is no CUDA driver (libcuda): install NVIDIA's, or give the container the GPU "
            "(docker run --gpus all)"
        )
    if driver // 1000 >= needed // 1000:
        return ""
    needed_major, driver_major = needed // 1000, driver // 1000
    newer = FIRST_DRIVERS.get(needed_major)
    text = f"the driver is for CUDA {_version(driver)}, and this CuPy for CUDA {_version(needed)}: "
    text += f"update the driver, to {newer} or newer" if newer else "update the driver"
    if driver_major in FIRST_DRIVERS:
        text += (
            f", or change CuPy: pip uninstall cupy-cuda{needed_major}x, "
            f"pip install 'convhub[cuda{driver_major}]'"
        )
    return text


def _check_device(runtime: Any) -> str:
    try:
        devices = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        if error.status == INITIALIZATION_ERROR:
            return f"CUDA does not start ({error}); this happens where {FORKED}"
        if error.status != NO_DEVICE:
            return f"CUDA does not answer: {error}"
        devices = 0
    if devices:
        return ""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    hidden = "" if visible is None else f"; CUDA_VISIBLE_DEVICES is {visible!r}"
    return f"CuPy and a CUDA driver are installed, but there is no device{hidden}"


def _check_compiler(cupy: Any) -> str:
    try:
        cupy.cuda.nvrtc.getVersion()
    except (RuntimeError, OSError) as error:
        major = cupy.cuda.runtime.runtimeGetVersion() // 1000
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"CUDA's compiler NVRTC is missing: pip install 'convhub[cuda{major}]' ({first_line})"
    return ""


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
