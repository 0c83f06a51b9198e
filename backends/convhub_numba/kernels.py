"""Finds the compiled entries of the algorithms: which function, for which types of arguments."""

from __future__ import annotations

import functools
from typing import Any

from numba import types

from . import grad_weight as grad_weight_gemm
from . import recompute
from .algorithms.channelwise import depthwise, depthwise_weight, grouped, grouped_weight
from .algorithms.direct import kernels as direct
from .algorithms.dot import kernels as dot
from .algorithms.gemm import kernels as gemm
from .algorithms.implicit_gemm import kernels as implicit_gemm
from .algorithms.implicit_gemm import kernels_weight as implicit_weight
from .algorithms.indirect import kernels as indirect
from .algorithms.phases import kernels as phases
from .algorithms.pointwise import kernels_weight as pointwise_grad_weight
from .algorithms.stem import kernels as stem
from .algorithms.stem import kernels_weight as stem_grad_weight
from .algorithms.winograd import kernels as winograd
from .algorithms.winograd import kernels_weight as winograd_weight
from .blocking import Tile
from .correlation import Sizes
from .runtime.compile import float_array, sizes_of
from .runtime.threads import INT, Kernel, kernel
from .vectors.half import sum_dtype

__all__ = [
    "FLAG", "INTEGERS", "TABLE", "correlating_kernel", "direct_kernel", "direct_weight_kernel",
    "implicit_kernels", "implicit_weight_kernel", "recomputing_kernel", "recomputing_weight_kernel",
    "reducing_kernel", "winograd_kernels", "winograd_weight_kernel",
]  # fmt: skip

INTEGERS = types.Array(types.int64, 1, "C")
TABLE = types.Array(types.int64, 2, "C")
FLAG = types.boolean


def _own(dtype: str) -> tuple[Any, Any]:
    """Return the types of each thread's scratch memory: numbers and indices."""
    return float_array(sum_dtype(dtype).name, 1), INTEGERS


@functools.cache
def correlating_kernel(algorithm: str, dtype: str, tile: Tile) -> Kernel:
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
    return kernel(
        module.correlate, _own(dtype),
        float_array(dtype, 1), strided, flat, float_array(dtype, 5), flat, flat, TABLE, TABLE,
        sizes_of(sizes), FLAG, FLAG, *map(types.literal, tile.literals),
    )  # fmt: skip


@functools.cache
def winograd_kernels(dtype: str, tile: Tile) -> tuple[Kernel, Kernel]:
    """Return what transforms weights, and what runs tiles."""
    flat, strided, weight = float_array(dtype, 1), float_array(dtype, 4), float_array(dtype, 5)
    sums, sizes = float_array(sum_dtype(dtype).name, 1), sizes_of(winograd.Sizes)
    transform = kernel(
        winograd.transform_weights, _own(dtype),
        sums, weight, sizes, INT, *map(types.literal, (tile.vectors, tile.lanes)),
    )  # fmt: skip
    correlate = kernel(
        winograd.correlate, _own(dtype),
        flat, INTEGERS, strided, sums, sums, sizes, INT, INT,
        *map(types.literal, (tile.height, tile.vectors, tile.lanes)),
    )  # fmt: skip
    return transform, correlate


@functools.cache
def recomputing_kernel(dtype: str) -> Kernel:
    """Return what computes outputs again that are not finite."""
    strided, sums = float_array(dtype, 4), float_array(sum_dtype(dtype).name, 1)
    return kernel(
        recompute.recompute, (), strided, strided, float_array(dtype, 5), sums, sizes_of(recompute.Geometry)
    )


@functools.cache
def recomputing_weight_kernel(dtype: str) -> Kernel:
    """Return what computes elements of the weight's gradient again that are not finite."""
    strided = float_array(dtype, 4)
    return kernel(recompute.recompute_weight, (), strided, strided, strided, sizes_of(recompute.Geometry))


@functools.cache
def implicit_kernels(dtype: str, tile: Tile) -> tuple[Kernel, Kernel]:
    """Return what packs weights, and what sums pixels."""
    flat, strided, weight = float_array(dtype, 1), float_array(dtype, 4), float_array(dtype, 5)
    sums, sizes = float_array(sum_dtype(dtype).name, 1), sizes_of(implicit_gemm.Sizes)
    pack = kernel(
        implicit_gemm.pack_weights, _own(dtype),
        sums, weight, TABLE, TABLE, sizes, *map(types.literal, (tile.vectors, tile.lanes)),
    )  # fmt: skip
    correlate = kernel(
        implicit_gemm.correlate, _own(dtype),
        flat, strided, sums, sums, TABLE, TABLE, sizes,
        *map(types.literal, (tile.height, tile.vectors, tile.lanes)),
    )  # fmt: skip
    return pack, correlate


@functools.cache
def winograd_weight_kernel(dtype: str, tile: Tile) -> Kernel:
    """Return what reduces tiles to the gradient of the weight."""
    flat, strided = float_array(dtype, 1), float_array(dtype, 4)
    return kernel(
        winograd_weight.correlate, _own(dtype),
        flat, INTEGERS, strided, strided, INT, sizes_of(winograd_weight.Sizes), INT, INT, INT,
        *map(types.literal, (tile.height, tile.vectors, tile.lanes)),
    )  # fmt: skip


@functools.cache
def implicit_weight_kernel(dtype: str, tile: Tile) -> Kernel:
    """Return what reduces pixels to the gradient of the weight."""
    flat, strided = float_array(dtype, 1), float_array(dtype, 4)
    return kernel(
        implicit_weight.correlate, _own(dtype),
        flat, strided, strided, sizes_of(implicit_weight.Sizes),
        *map(types.literal, (tile.height, tile.vectors, tile.lanes)),
    )  # fmt: skip


@functools.cache
def reducing_kernel(algorithm: str, dtype: str, tile: Tile) -> Kernel:
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
    return kernel(
        module.correlate, _own(dtype),
        float_array(dtype, 1), strided, flat, strided, flat, TABLE, TABLE, sizes_of(sizes), FLAG, FLAG,
        *map(types.literal, (tile.height, tile.vectors, tile.lanes)),
    )  # fmt: skip


@functools.cache
def direct_kernel(dtype: str) -> Kernel:
    """Return what runs forward and grad_input without scratch memory."""
    strided, sums = float_array(dtype, 4), float_array(sum_dtype(dtype).name, 1)
    return kernel(direct.correlate, (), strided, strided, float_array(dtype, 5), sums, TABLE, TABLE, INTEGERS)


@functools.cache
def direct_weight_kernel(dtype: str) -> Kernel:
    """Return what runs grad_weight without scratch memory."""
    strided = float_array(dtype, 4)
    return kernel(direct.grad_weight, (), strided, strided, strided, INTEGERS, INTEGERS)
