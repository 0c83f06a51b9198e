"""The compiled entries of the algorithms: which function, for which types of arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable

from numba import types

from . import (
    depthwise,
    depthwise_weight,
    dot,
    gemm,
    grouped,
    grouped_weight,
    implicit_gemm,
    implicit_weight,
    indirect,
    phases,
    pointwise_grad_weight,
    stem,
    stem_grad_weight,
    winograd,
    winograd_weight,
)
from . import grad_weight as grad_weight_gemm
from .blocking import Tile
from .compile import compiled, float_array, sizes_of
from .correlation import Sizes
from .narrow import sum_dtype

__all__ = [
    "FLAG", "INT", "INTEGERS", "TABLE", "correlating_kernel", "implicit_kernels", "implicit_weight_kernel",
    "reducing_kernel", "winograd_kernels", "winograd_weight_kernel",
]  # fmt: skip

INTEGERS = types.Array(types.int64, 1, "C")
TABLE = types.Array(types.int64, 2, "C")
FLAG, INT = types.boolean, types.int64


@functools.cache
def correlating_kernel(algorithm: str, dtype: str, tile: Tile) -> Callable[..., None]:
    """Return the forward and grad_input kernel of an algorithm, for arrays of type `dtype`."""
    strided, flat = float_array(dtype, 4), float_array(sum_dtype(dtype).name, 1)
    module, sizes = {
        "gemm": (gemm, Sizes),
        "indirect": (indirect, Sizes),
        "depthwise": (depthwise, depthwise.Sizes),
        "grouped": (grouped, grouped.Sizes),
        "phases": (phases, phases.Sizes),
        "stem": (stem, Sizes),
    }[algorithm]
    return compiled(
        module.correlate,
        float_array(dtype, 1), strided, flat, float_array(dtype, 5), flat, flat, flat, INTEGERS, TABLE, TABLE,
        sizes_of(sizes), FLAG, FLAG, INT, INT, *map(types.literal, tile.literals),
    )  # fmt: skip


@functools.cache
def winograd_kernels(dtype: str, tile: Tile) -> tuple[Callable[..., None], Callable[..., None]]:
    """Return what transforms weights, and what runs tiles."""
    flat, strided, weight = float_array(dtype, 1), float_array(dtype, 4), float_array(dtype, 5)
    sums, sizes = float_array(sum_dtype(dtype).name, 1), sizes_of(winograd.Sizes)
    transform = compiled(
        winograd.transform_weights,
        sums, weight, sums, INTEGERS, sizes, INT, INT, INT, *map(types.literal, (tile.vectors, tile.lanes)),
    )  # fmt: skip
    kernel = compiled(
        winograd.correlate,
        flat, strided, weight, sums, sums, sums, INTEGERS, sizes, INT, INT, INT, INT,
        *map(types.literal, (tile.height, tile.vectors, tile.lanes)),
    )  # fmt: skip
    return transform, kernel


@functools.cache
def implicit_kernels(dtype: str, tile: Tile) -> tuple[Callable[..., None], Callable[..., None]]:
    """Return what packs weights, and what sums pixels."""
    flat, strided, weight = float_array(dtype, 1), float_array(dtype, 4), float_array(dtype, 5)
    sums, sizes = float_array(sum_dtype(dtype).name, 1), sizes_of(implicit_gemm.Sizes)
    pack = compiled(
        implicit_gemm.pack_weights,
        sums, weight, sums, INTEGERS, TABLE, TABLE, sizes, INT, INT,
        *map(types.literal, (tile.vectors, tile.lanes)),
    )  # fmt: skip
    kernel = compiled(
        implicit_gemm.correlate,
        flat, strided, sums, sums, sums, INTEGERS, TABLE, TABLE, sizes, INT, INT,
        *map(types.literal, (tile.height, tile.vectors, tile.lanes)),
    )  # fmt: skip
    return pack, kernel


@functools.cache
def winograd_weight_kernel(dtype: str, tile: Tile) -> Callable[..., None]:
    """Return what reduces tiles to the gradient of the weight."""
    flat, strided, sums = float_array(dtype, 1), float_array(dtype, 4), float_array(sum_dtype(dtype).name, 1)
    return compiled(
        winograd_weight.correlate,
        flat, strided, strided, sums, INTEGERS, INT, INT, sizes_of(winograd_weight.Sizes), INT, INT, INT, INT,
        INT, *map(types.literal, (tile.height, tile.vectors, tile.lanes)),
    )  # fmt: skip


@functools.cache
def implicit_weight_kernel(dtype: str, tile: Tile) -> Callable[..., None]:
    """Return what reduces pixels to the gradient of the weight."""
    flat, strided, sums = float_array(dtype, 1), float_array(dtype, 4), float_array(sum_dtype(dtype).name, 1)
    return compiled(
        implicit_weight.correlate,
        flat, strided, strided, sums, INTEGERS, sizes_of(implicit_weight.Sizes), INT, INT,
        *map(types.literal, (tile.height, tile.vectors, tile.lanes)),
    )  # fmt: skip


@functools.cache
def reducing_kernel(algorithm: str, dtype: str, tile: Tile) -> Callable[..., None]:
    """Return the grad_weight kernel of an algorithm, for arrays of type `dtype`."""
    strided, flat = float_array(dtype, 4), float_array(sum_dtype(dtype).name, 1)
    module, sizes = {
        "gemm": (grad_weight_gemm, grad_weight_gemm.Sizes),
        "dot": (dot, grad_weight_gemm.Sizes),
        "depthwise": (depthwise_weight, depthwise_weight.Sizes),
        "grouped": (grouped_weight, grouped_weight.Sizes),
        "stem": (stem_grad_weight, grad_weight_gemm.Sizes),
        "pointwise": (pointwise_grad_weight, grad_weight_gemm.Sizes),
    }[algorithm]
    return compiled(
        module.correlate,
        float_array(dtype, 1), strided, flat, strided, flat, flat, INTEGERS, TABLE, TABLE,
        sizes_of(sizes), FLAG, FLAG, INT, INT,
        *map(types.literal, (tile.height, tile.vectors, tile.lanes)),
    )  # fmt: skip
