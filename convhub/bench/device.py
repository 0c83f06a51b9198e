"""Finds the device that a benchmark runs on, and checks that both sides run there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..backend import Backend
from ..dispatch.candidates import automatic, reason_against
from ..dispatch.dispatcher import current_dispatcher
from ..errors import ArgumentError, BackendUnavailableError
from ..problem import Problem
from .cuda import cuda
from .sides import TORCH

__all__ = ["Device", "backend_on", "check_other", "library_of", "parse_device"]


@dataclass(frozen=True, slots=True)
class Device:
    """A device type, and the index of the device."""

    type: str
    index: int = 0

    def __str__(self) -> str:
        return self.type if self.type == "cpu" else f"{self.type}:{self.index}"


def parse_device(text: str) -> Device:
    """Parse a device from a text.

    Raises
    ------
    ArgumentError
        If there is no such type of device.

    Examples
    --------
    >>> parse_device("cuda:1")
    Device(type='cuda', index=1)
    """
    found = re.fullmatch(r"(cpu)|cuda(?::([0-9]+))?", text)
    if found is None:
        raise ArgumentError(f"device is {text!r}; it must be cpu, cuda or, with a number, such as cuda:1")
    return Device("cpu") if found[1] else Device("cuda", int(found[2] or 0))


def backend_on(device: Device, name: str | None, against: str) -> str:
    """Return the backend to time on a GPU: the named one, or the first that can run there.

    If none is named, the one with the other side's name is skipped: a benchmark of torch against itself says
    nothing.

    Raises
    ------
    ArgumentError
        If the named backend does not run on such a device, or there is no device of that number.
    BackendUnavailableError
        If none can run on this machine; the message has the reason of each.
    """
    dispatcher = current_dispatcher()
    backends = dispatcher.registry.backends
    if name is None:
        names = [one for one in automatic(device.type, dispatcher) if one != against]
    else:
        names = [name]
        _check_device_type(backends[name].backend, device)
    reasons = {}
    for one in names:
        registered = backends[one]
        reason = reason_against(registered, _probe(registered.backend), dispatcher)
        if reason is None:
            _check_index(device, library_of(one))
            return one
        reasons[one] = reason
    told = "; ".join(f"{one}: {reason}" for one, reason in reasons.items()) or "no backend runs on it"
    raise BackendUnavailableError(f"device is '{device}', and no CUDA device can be used: {told}")


def check_other(device: Device, against: str) -> None:
    """Refuse another side that cannot run on a GPU, with the errors of `backend_on`; torch must be there."""
    if against != TORCH:
        backend_on(device, against, against)
        return
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda
        why = f"finds no CUDA device, and is built for CUDA {built}" if built else "is built without CUDA"
        raise BackendUnavailableError(f"--against torch on '{device}': torch {torch.__version__} {why}")
    _check_index(device, TORCH)


def library_of(backend: str) -> str:
    """Return the library whose arrays a backend gets on a GPU."""
    arrays = current_dispatcher().registry.backends[backend].backend.capabilities.arrays
    return "cupy" if arrays == "numpy" else arrays


def _check_device_type(backend: Backend, device: Device) -> None:
    devices = backend.capabilities.devices
    if device.type not in devices:
        others = [
            name
            for name, registered in current_dispatcher().registry.backends.items()
            if device.type in registered.backend.capabilities.devices
        ]
        raise ArgumentError(
            f"backend is {backend.name!r}, which runs on {' and '.join(devices)} only; on {device.type} run "
            f"{', '.join(others) or 'none'}"
        )


def _probe(backend: Backend) -> Problem:
    """Return a problem that a backend can only decline because it cannot run here."""
    primitive = backend.primitives[0]
    dtype = backend.capabilities.dtypes_of(primitive)[0]
    return Problem(primitive, 1, 1, 1, (1, 1), (1, 1), dtype=dtype, device="cuda")


def _check_index(device: Device, library: str) -> None:
    count = cuda(library).devices()
    if device.index >= count:
        there = "cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
        raise ArgumentError(f"device is '{device}'; {library} finds {count} of them, {there}")
