"""A plugin for tests: the backend `cupy`'s engine and kernels on NumPy arrays, through the emulator."""

from __future__ import annotations

import functools

import convhub_cupy
from convhub_cupy import engine
from cuda_emulator import EmulatedRuntime

from convhub.backend import Backend, Capabilities, hookimpl

#: Which kernels have run, for tests that ask whether all have.
RUNTIME = EmulatedRuntime(sanitize=None)

(REAL,) = convhub_cupy.convhub_backends()


@hookimpl
def convhub_backends() -> list[Backend]:
    """Return the backend ``cupy-emulated``, with the declaration of the real one but for the device."""
    declared = REAL.capabilities
    primitives = (engine.forward, engine.grad_input, engine.grad_weight)
    return [
        Backend(
            "cupy-emulated",
            Capabilities(dtypes=declared.dtypes, devices=("cpu",), arrays="numpy"),
            *(functools.partial(primitive, runtime=RUNTIME) for primitive in primitives),
            algorithm=REAL.algorithm,
            summary="CUDA kernels on the CPU",
        )
    ]
