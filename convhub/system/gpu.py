"""Asks NVIDIA's driver for the GPUs of this machine, without any other package.

This file imports only the standard library, so that it can be run where nothing else is installed::

    python -P convhub/system/gpu.py 13      # is there a GPU, and does its driver take CUDA 13?
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from dataclasses import dataclass

__all__ = ["DRIVER", "Gpu", "GpuError", "gpus", "suited"]

#: The driver's library, which comes only with the driver.
DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"

# Values of the enumeration CUdevice_attribute in cuda.h.
_MULTIPROCESSORS, _MAJOR, _MINOR = 16, 75, 76

#: A GPU is busy if something ran on it for at least this percentage of the time.
BUSY = 5


class GpuError(Exception):
    """No GPU answers; the message says why."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU and its driver.

    Parameters
    ----------
    name : str
        The driver's name of the chip.
    capability : str
        Compute capability, such as ``"9.0"``.
    multiprocessors : int
        The number of multiprocessors.
    memory : int
        The size of its memory in bytes.
    driver, cuda : str
        Release of the driver, empty if ``nvidia-smi`` does not give it; and the latest CUDA that it supports.
    load : int or None
        Percentage of the time that something ran on it before the benchmark; None if unknown.
    """

    name: str
    capability: str
    multiprocessors: int
    memory: int
    driver: str
    cuda: str
    load: int | None = None

    @property
    def busy(self) -> bool:
        """Whether something else runs on it, so that times mean little."""
        return self.load is not None and self.load >= BUSY

    def __str__(self) -> str:
        load = "" if self.load is None else f"; load {self.load} % before"
        return (
            f"{self.name}, compute capability {self.capability}, {self.multiprocessors} multiprocessors, "
            f"{self.memory / 2**30:.1f} GiB; driver {self.driver or 'unknown'}, up to CUDA {self.cuda}{load}"
        )


def gpus() -> tuple[Gpu, ...]:
    """Return the GPUs in the driver's order, which is that of CuPy's and torch's numbers too.

    Raises
    ------
    GpuError
        If there is no driver, or no GPU that this process may use.
    """
    try:
        library = ctypes.CDLL(DRIVER)
    except OSError as error:
        raise GpuError(f"there is no NVIDIA driver: {error}") from error
    _check(library, library.cuInit(0), "cuInit")
    version = _integer(library, "cuDriverGetVersion")
    cuda = f"{version // 1000}.{version % 1000 // 10}"
    found = tuple(_gpu(library, index, cuda) for index in range(_integer(library, "cuDeviceGetCount")))
    if not found:
        raise GpuError("the driver has no GPU that this process may use")
    return found


def _gpu(library: ctypes.CDLL, index: int, cuda: str) -> Gpu:
    device = _integer(library, "cuDeviceGet", index)
    memory = ctypes.c_size_t()
    _check(library, library.cuDeviceTotalMem_v2(ctypes.byref(memory), device), "cuDeviceTotalMem")
    major, minor, multiprocessors = (
        _integer(library, "cuDeviceGetAttribute", attribute, device)
        for attribute in (_MAJOR, _MINOR, _MULTIPROCESSORS)
    )
    driver, load = _driver_and_load(_text(library, "cuDeviceGetPCIBusId", device))
    name = _text(library, "cuDeviceGetName", device)
    return Gpu(name, f"{major}.{minor}", multiprocessors, memory.value, driver, cuda, load)


def _integer(library: ctypes.CDLL, function: str, *arguments: int) -> int:
    value = ctypes.c_int()
    _check(library, library[function](ctypes.byref(value), *arguments), function)
    return value.value


def _text(library: ctypes.CDLL, function: str, device: int) -> str:
    buffer = ctypes.create_string_buffer(256)
    _check(library, library[function](buffer, len(buffer), device), function)
    return buffer.value.decode(errors="replace")


def _check(library: ctypes.CDLL, code: int, function: str) -> None:
    if code:
        text = ctypes.c_char_p()
        library.cuGetErrorString(code, ctypes.byref(text))
        raise GpuError(f"{function}: {(text.value or b'unknown').decode(errors='replace')} (error {code})")


def _driver_and_load(bus: str) -> tuple[str, int | None]:
    """Return the driver's release and the load of the GPU at a PCI address, as ``nvidia-smi`` gives them."""
    query = ["nvidia-smi", f"--id={bus}", "--query-gpu=driver_version,utilization.gpu"]
    try:
        done = subprocess.run([*query, "--format=csv,noheader,nounits"], capture_output=True, text=True)
    except OSError:  # some containers lack it
        return "", None
    driver, _, load = done.stdout.strip().partition(",")
    if done.returncode or not driver:
        return "", None
    return driver, int(load) if load.strip().isdecimal() else None


def suited(found: tuple[Gpu, ...], major: int) -> None:
    """Refuse a driver that is older than a release of CUDA.

    Raises
    ------
    GpuError
        If it is; the message names the newest CUDA that the driver supports.

    Examples
    --------
    >>> suited((Gpu("Some chip", "8.0", 100, 2**34, "550.1", "12.4"),), 13)
    Traceback (most recent call last):
    ...
    convhub.system.gpu.GpuError: driver 550.1 supports CUDA 12.4 at most, not 13: update it, or set CUDA=12
    """
    newest = found[0].cuda
    if int(newest.partition(".")[0]) < major:
        raise GpuError(
            f"driver {found[0].driver} supports CUDA {newest} at most, not {major}: update it, or set "
            f"CUDA={newest.partition('.')[0]}"
        )


def _main(*wanted: str) -> str | None:
    """Print the GPUs; return an error message, if any."""
    try:
        found = gpus()
        suited(found, int(wanted[0]) if wanted else 0)
    except GpuError as error:
        return f"no CUDA device: {error}"
    for index, gpu in enumerate(found):
        print(f"cuda:{index}: {gpu}")
    return None


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
