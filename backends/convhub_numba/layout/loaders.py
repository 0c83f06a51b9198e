"""Finds the functions that load a source, as machine code: compiled once for all kernels that call them.

They are long, and would be compiled again in each kernel, at each place that calls them.
"""

from __future__ import annotations

from numba import types

from ..runtime.compile import address, float_array
from ..vectors.half import sum_dtype
from .pack import load_planes
from .pixels import load_pixels

__all__ = ["pixels_code", "planes_code"]

INT, FLAG = types.int64, types.boolean
INTEGERS, TABLE = types.Array(INT, 1, "C"), types.Array(INT, 2, "C")


def planes_code(dtype: str, lanes: int) -> int:
    """Return the address of `load_planes` for a source of `dtype`."""
    pad, source = _arrays(dtype)
    return address(load_planes, pad, source, *[INT] * 4, TABLE, *[INT] * 6, types.literal(lanes))


def pixels_code(dtype: str, lanes: int) -> int:
    """Return the address of `load_pixels` for a source of `dtype`."""
    pixels, source = _arrays(dtype)
    return address(load_pixels, pixels, source, *[INT] * 7, FLAG, INTEGERS, types.literal(lanes))


def _arrays(dtype: str) -> tuple[types.Array, types.Array]:
    """Return the types of scratch memory and of a source."""
    return float_array(sum_dtype(dtype).name, 1), float_array(dtype, 4)
