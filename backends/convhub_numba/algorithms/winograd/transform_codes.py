"""Finds Winograd's transforms, as machine code, by their schemes."""

from __future__ import annotations

import functools
from typing import NamedTuple

from numba import types

from ...runtime.compile import address, float_array
from .matrices import Scheme
from .transforms import GRADIENT, KERNEL, KERNEL_GRADIENT, SOURCE, transform_outputs, transform_tiles

__all__ = ["Codes", "WeightCodes", "transform_codes", "weight_transform_codes"]

INTEGERS, INT = types.Array(types.int64, 1, "C"), types.int64


class Codes(NamedTuple):
    """The addresses of the transforms of one pair of schemes."""

    source: int
    kernel: int
    output: int


class WeightCodes(NamedTuple):
    """The addresses of the transforms of one pair of schemes, for the gradient of the weight."""

    source: int
    gradient: int
    kernel: int


@functools.cache
def transform_codes(dtype: str, schemes: tuple[Scheme, ...], lanes: int) -> Codes:
    """Return the transforms of tiles, kernels and outputs of type `dtype`."""
    output = address(
        transform_outputs,
        _sums(dtype), INTEGERS, INT, INT, INT, _sums(dtype), INT, INT, INT, _sums(dtype),
        *_literals(*(scheme.encoded() for scheme in schemes), lanes),
    )  # fmt: skip
    return Codes(_tiles(dtype, SOURCE, schemes, lanes), _tiles(dtype, KERNEL, schemes, lanes), output)


@functools.cache
def weight_transform_codes(dtype: str, schemes: tuple[Scheme, ...], lanes: int) -> WeightCodes:
    """Return the transforms of tiles of the source and of the gradient, and back to kernels."""
    return WeightCodes(*(_tiles(dtype, kind, schemes, lanes) for kind in (SOURCE, GRADIENT, KERNEL_GRADIENT)))


@functools.cache
def _tiles(dtype: str, kind: int, schemes: tuple[Scheme, ...], lanes: int) -> int:
    return address(
        transform_tiles,
        _sums(dtype), INT, INT, INT, _sums(dtype), INTEGERS, INT, INT, INT,
        *_literals(kind, *(scheme.encoded() for scheme in schemes), lanes),
    )  # fmt: skip


def _sums(dtype: str) -> types.Array:
    return float_array(dtype, 1)


def _literals(*values: int) -> list[types.Literal]:
    return [types.literal(value) for value in values]
