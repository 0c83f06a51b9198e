"""A stand-in for CuPy where there is no GPU: arrays lie on the host, and work takes the time that it says.

With this folder on the path `convhub bench --device cuda` can be tested from the command line to the files
that it writes. What is in it is no more than that needs. The times are made up: nothing here is a speed.
"""

from __future__ import annotations

import types

import numpy as np

uint8 = np.uint8

#: Milliseconds that the work of all calls has taken so far.
_worked = [0.0]
_current = [0]


def work(milliseconds: float) -> None:
    """Put work into the stream that takes the device so long."""
    _worked[0] += milliseconds


class CUDARuntimeError(RuntimeError):
    pass


class Device:
    def __init__(self, id: int | None = None):
        self.id = _current[0] if id is None else id

    def use(self) -> None:
        _current[0] = self.id


class Event:
    def __init__(self) -> None:
        self.at: float | None = None
        self.is_waited_for = False

    def record(self) -> None:
        self.at = _worked[0]

    def synchronize(self) -> None:
        self.is_waited_for = True


def get_elapsed_time(start: Event, stop: Event) -> float:
    if not stop.is_waited_for:
        raise CUDARuntimeError("cudaErrorNotReady")
    return stop.at - start.at


class _Pointer:
    """An address: memory, and how many bytes into it."""

    def __init__(self, memory: np.ndarray, offset: int = 0):
        self.memory, self.offset = memory, offset
        self.mem = types.SimpleNamespace(ptr=memory.ctypes.data)

    def __add__(self, count: int) -> _Pointer:
        return _Pointer(self.memory, self.offset + count)


class ndarray:  # noqa: N801 - CuPy's name
    def __init__(self, shape, dtype, memptr=None, strides=None):
        host = np.empty(shape, dtype) if memptr is None else None
        self.data = memptr or _Pointer(host.reshape(-1).view(np.uint8))
        self.host = np.ndarray(shape, dtype, self.data.memory, self.data.offset, strides)
        self.device = Device()

    def __getattr__(self, name):
        if name in ("shape", "dtype", "strides", "itemsize", "size", "ndim", "flags"):
            return getattr(self.host, name)
        raise AttributeError(name)

    def __setitem__(self, index, values):
        self.host[index] = values.host

    def get(self) -> np.ndarray:
        return self.host.copy()


def empty(shape, dtype) -> ndarray:
    return ndarray(shape, dtype)


def asarray(values: np.ndarray) -> ndarray:
    made = ndarray(values.shape, values.dtype)
    made.host[...] = values
    return made


class _Pool:
    def free_all_blocks(self) -> None:
        pass


def get_default_memory_pool() -> _Pool:
    return _Pool()


cuda = types.SimpleNamespace(
    Device=Device,
    Event=Event,
    get_elapsed_time=get_elapsed_time,
    runtime=types.SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError, getDeviceCount=lambda: 2, runtimeGetVersion=lambda: 13020
    ),
)
