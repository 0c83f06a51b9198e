"""Turns a plan's launch into a kernel's call: the type of offsets, and numbers as the kernels take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convhub.backend import Array, Problem

from .plan.axes import Axis
from .plan.plan import Launch
from .runtime.cupy_runtime import Runtime

__all__ = ["Index", "axes_of", "index_for", "ints", "run", "strides_of"]

#: Offsets and counts that stay below it are 32 bits wide: the sum of two of them still fits.
INT_LIMIT = 2**30


@dataclass(frozen=True)
class Index:
    """The type of offsets."""

    wide: bool

    @property
    def name(self) -> str:
        """The type, as the kernels are told."""
        return "long long" if self.wide else "int"

    def numbers(self, *values: int) -> tuple[Any, ...]:
        """Return numbers of that type, to be given by value."""
        return tuple(map(np.int64 if self.wide else np.int32, values))


def index_for(arrays: Sequence[Array], *counts: int) -> Index:
    """Return 32 bits where all offsets into the arrays, and all that is counted, fit."""
    spans = (sum((n - 1) * abs(s) for n, s in zip(a.shape, strides_of(a), strict=True)) for a in arrays)
    return Index(max((*spans, *counts)) >= INT_LIMIT)


def strides_of(array: Array) -> tuple[int, ...]:
    """Return an array's strides in elements."""
    return tuple(stride // array.itemsize for stride in array.strides)


def ints(*values: int) -> tuple[np.int32, ...]:
    """Return numbers that the kernels take as int."""
    return tuple(map(np.int32, values))


def axes_of(launch: Launch) -> tuple[np.int32, ...]:
    """Return the axes of a launch, as the kernels take them."""
    rows, columns = launch.axes or (Axis(*[0] * 9), Axis(*[0] * 9))
    return ints(*rows, *columns)


def run(runtime: Runtime, launch: Launch, problem: Problem, index: Index, arguments: Sequence[Any]) -> None:
    """Enqueue a kernel."""
    grid, block = (launch.blocks, 1, 1), (launch.threads, 1, 1)
    runtime.launch(launch.source(problem.dtype, index.name), grid, block, arguments)
