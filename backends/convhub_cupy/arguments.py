"""Makes the arguments of kernels: each is written once, with its name, its type and its value.

A launch's arguments are a mapping in the order of the kernel's parameters, by their names in CUDA C. A value
carries its type: a number is a NumPy scalar, and a pointer is an array, of which the kernel gets the address
of the first element.
`tests/backends/cupy/test_signatures.py` compares names, types and order with the kernels' text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convhub.backend import Array

from .plan.axes import Axis

__all__ = ["NARROW", "WIDE", "Arguments", "Index", "axes", "index_for", "int32", "pointers", "strides_of"]

#: By the name of the kernel's parameter.
Arguments = dict[str, Any]

#: Offsets and counts below it have 32 bits: the sum of two of them still fits.
INT_LIMIT = 2**30

#: The fields of `Axis`, as ``AXIS`` of `correlation.cuh` names them.
_FIELDS = ("count", "first", "step", "source_step", "shift", "taps", "tap_first", "tap_step", "tap_shift")
_ROWS_AND_COLUMNS = tuple(f"{side}_{field}" for side in ("rows", "columns") for field in _FIELDS)


def pointers(**arrays: Array | None) -> Arguments:
    """Return arguments that are addresses of arrays' first elements; None is a null pointer."""
    return arrays


def int32(**values: int) -> Arguments:
    """Return arguments that are ``int`` in every variant of a kernel."""
    return dict(zip(values, map(np.int32, values.values()), strict=True))


def axes(rows: Axis, columns: Axis) -> Arguments:
    """Return the arguments ``AXIS(rows), AXIS(columns)``."""
    return dict(zip(_ROWS_AND_COLUMNS, map(np.int32, rows + columns), strict=True))


@dataclass(frozen=True)
class Index:
    """The type of offsets, ``INDEX`` in the kernels."""

    wide: bool

    @property
    def name(self) -> str:
        """The type's name in the kernels."""
        return "long long" if self.wide else "int"

    def numbers(self, **values: int) -> Arguments:
        """Return arguments that are ``INDEX``."""
        return dict(zip(values, map(self._scalar, values.values()), strict=True))

    def strides(self, names: Sequence[str], strides: Sequence[int]) -> Arguments:
        """Return an array's strides in elements, one for each of the names."""
        return dict(zip(names, map(self._scalar, strides), strict=True))

    @property
    def _scalar(self) -> type[np.signedinteger[Any]]:
        return np.int64 if self.wide else np.int32


NARROW, WIDE = Index(wide=False), Index(wide=True)


def index_for(arrays: Sequence[Array], *counts: int) -> Index:
    """Return 32 bits where all offsets into the arrays and all counts fit."""
    return WIDE if max((*map(_span, arrays), *counts)) >= INT_LIMIT else NARROW


def _span(array: Array) -> int:
    """Return how far apart an array's elements lie at most, counted in elements."""
    if array.flags.c_contiguous:
        return int(array.size) - 1
    return sum([(n - 1) * abs(stride) for n, stride in zip(array.shape, strides_of(array), strict=True)])


def strides_of(array: Array) -> tuple[int, ...]:
    """Return an array's strides in elements."""
    item = array.itemsize
    return tuple([stride // item for stride in array.strides])
