"""A plugin for tests: the backend `cupy`'s engine and kernels on NumPy arrays, through the emulator."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Literal

import convhub_cupy
from convhub_cupy import engine
from gpu.emulator import EmulatedRuntime

from convhub.backend import Backend, hookimpl

convhub_contract = 1

#: Which kernels have run, for tests that ask whether all have.
RUNTIME = EmulatedRuntime(sanitize=None)

(REAL,) = convhub_cupy.convhub_backends()


@dataclass(frozen=True)
class Options(convhub_cupy.Options):
    """The real one's, but Winograd's algorithm runs wherever it can: the suite's problems are too small."""

    winograd: Literal["auto", "always", "never"] = "always"


@hookimpl
def convhub_backends() -> list[Backend]:
    """Return the backend ``cupy-emulated``, with the declaration of the real one but for the device."""
    primitives = (engine.forward, engine.grad_input, engine.grad_weight)
    return [
        Backend(
            "cupy-emulated",
            replace(REAL.capabilities, devices=("cpu",), arrays="numpy"),
            *(functools.partial(primitive, runtime=RUNTIME) for primitive in primitives),
            algorithm=REAL.algorithm,
            accuracy=REAL.accuracy,
            options=Options,
            summary="CUDA kernels on the CPU",
        )
    ]
