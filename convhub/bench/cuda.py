"""Times CUDA through the library whose arrays a side gets: selects devices, records events, frees memory.

An event is a mark in a stream's work; the device notes the time when it reaches the mark. Two events around
many calls give the time that the device took for these, whatever the host did meanwhile. Each side is timed
by events of its own library, on that library's current stream, where its work runs.
"""

from __future__ import annotations

import functools
import itertools
import time
from typing import Any, Protocol

from ..errors import ArgumentError
from .timing import Call, Clock

__all__ = ["Cuda", "cuda", "event_clock", "issue_seconds", "prepare_torch"]

#: The calls whose issuing is timed: far fewer than fill a stream's queue, which would make the host wait.
ISSUED = 20


class Cuda(Protocol):
    """The interface that a benchmark needs to a library with arrays on CUDA devices."""

    def devices(self) -> int:
        """Return how many devices the library can use."""

    def use(self, index: int) -> None:
        """Make a device current in this thread."""

    def record(self) -> Any:
        """Record an event in the current stream, and return it."""

    def milliseconds(self, start: Any, stop: Any) -> float:
        """Wait for `stop`, and return the device's time since `start`."""

    def release(self) -> None:
        """Return unused memory of the library's pool to the driver."""

    def versions(self) -> dict[str, str]:
        """Return the versions of components that come with the library but are no distributions."""


class _CupyCuda:
    def __init__(self) -> None:
        import cupy

        self._cupy = cupy

    def devices(self) -> int:
        return int(self._cupy.cuda.runtime.getDeviceCount())

    def use(self, index: int) -> None:
        self._cupy.cuda.Device(index).use()

    def record(self) -> Any:
        event = self._cupy.cuda.Event()
        event.record()
        return event

    def milliseconds(self, start: Any, stop: Any) -> float:
        stop.synchronize()
        return float(self._cupy.cuda.get_elapsed_time(start, stop))

    def release(self) -> None:
        self._cupy.get_default_memory_pool().free_all_blocks()

    def versions(self) -> dict[str, str]:
        runtime = int(self._cupy.cuda.runtime.runtimeGetVersion())
        return {"CUDA of CuPy": f"{runtime // 1000}.{runtime % 1000 // 10}"}


class _TorchCuda:
    def __init__(self) -> None:
        import torch

        self._torch: Any = torch

    def devices(self) -> int:
        return int(self._torch.cuda.device_count())

    def use(self, index: int) -> None:
        self._torch.cuda.set_device(index)

    def record(self) -> Any:
        event = self._torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def milliseconds(self, start: Any, stop: Any) -> float:
        stop.synchronize()
        return float(start.elapsed_time(stop))

    def release(self) -> None:
        self._torch.cuda.empty_cache()

    def versions(self) -> dict[str, str]:
        cudnn = self._torch.backends.cudnn.version()
        return {"CUDA of torch": str(self._torch.version.cuda), "cuDNN": _cudnn_version(cudnn)}


def _cudnn_version(number: int | None) -> str:
    """Return the text of a version encoded in a number, which has one more digit since version 9.

    Examples
    --------
    >>> _cudnn_version(91002), _cudnn_version(8907), _cudnn_version(None)
    ('9.10.2', '8.9.7', 'none')
    """
    if number is None:
        return "none"
    unit = 10_000 if number >= 90_000 else 1_000
    return f"{number // unit}.{number % unit // 100}.{number % 100}"


_LIBRARIES: dict[str, type[_CupyCuda | _TorchCuda]] = {"cupy": _CupyCuda, "torch": _TorchCuda}


@functools.cache
def cuda(library: str) -> Cuda:
    """Return the interface to CUDA of ``"cupy"`` or ``"torch"``; this imports the library.

    Raises
    ------
    ArgumentError
        If the library has no arrays on CUDA devices.
    """
    if library not in _LIBRARIES:
        raise ArgumentError(f"library is {library!r}; of arrays on CUDA there are {', '.join(_LIBRARIES)}")
    return _LIBRARIES[library]()


def event_clock(device: Cuda) -> Clock:
    """Return a clock that times calls by events: the seconds of one call, averaged over consecutive calls."""

    def seconds(call: Call, count: int) -> float:
        start = device.record()
        for _ in itertools.repeat(None, count):
            call()
        return device.milliseconds(start, device.record()) / 1e3 / count

    return seconds


def issue_seconds(device: Cuda, call: Call) -> float:
    """Return how long the host takes to issue a call, while the device is mostly idle."""
    idle = device.record()
    device.milliseconds(idle, device.record())
    start = time.perf_counter()
    for _ in itertools.repeat(None, ISSUED):
        call()
    seconds = (time.perf_counter() - start) / ISSUED
    end = device.record()
    device.milliseconds(end, end)
    return seconds


def prepare_torch(allow_tf32: bool) -> None:
    """Let torch measure and take cuDNN's fastest algorithms, with or without TF32."""
    import torch

    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allow_tf32  # some of torch's convolutions are matrix products
