"""Times CUDA through the library whose arrays a side gets: which device, events, giving memory back.

An event is a mark in the work of a stream, and the device notes the time when it reaches it. Two of them
around many calls tell how long the device was busy with these, whatever the host did at the same time. Each
side is timed by events of its own library, on that library's current stream, where its work is too.
"""

from __future__ import annotations

import functools
import itertools
import time
from typing import Any, Protocol

from ..errors import ArgumentError
from .timing import Call, Clock

__all__ = ["Cuda", "cuda", "event_clock", "issue_seconds", "prepare_torch"]

#: Calls whose issuing is timed: far fewer than wait in a stream before the host has to.
ISSUED = 20


class Cuda(Protocol):
    """What a benchmark needs of a library that has arrays on CUDA devices."""

    def devices(self) -> int:
        """Return how many devices the library can use."""

    def use(self, index: int) -> None:
        """Make a device the current one of this thread."""

    def record(self) -> Any:
        """Return an event that is put into the current stream now."""

    def milliseconds(self, start: Any, stop: Any) -> float:
        """Wait for `stop`, and return the time that the device took from `start` on."""

    def release(self) -> None:
        """Give back to the driver what the library's pool of memory does not use."""

    def versions(self) -> dict[str, str]:
        """Return what belongs to the library, and was not installed under its own name."""


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
    """Return the text of a number that has the parts of the version in it, since 9 with one digit more.

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
    """Return CUDA as ``"cupy"`` or ``"torch"`` sees it; this imports the library.

    Raises
    ------
    ArgumentError
        If the library has no arrays on CUDA devices.
    """
    if library not in _LIBRARIES:
        raise ArgumentError(f"library is {library!r}; of arrays on CUDA there are {', '.join(_LIBRARIES)}")
    return _LIBRARIES[library]()


def event_clock(device: Cuda) -> Clock:
    """Return the clock that times calls by events: seconds of one call, over several one after the other."""

    def seconds(call: Call, count: int) -> float:
        start = device.record()
        for _ in itertools.repeat(None, count):
            call()
        return device.milliseconds(start, device.record()) / 1e3 / count

    return seconds


def issue_seconds(device: Cuda, call: Call) -> float:
    """Return how long the host takes to issue a call, while the device has little to do but wait for it."""
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
    """Let torch take the fastest of cuDNN's algorithms, measured, with or without TF32."""
    import torch

    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allow_tf32  # some of torch's convolutions are matrix products
