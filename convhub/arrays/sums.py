"""Sums an array over batch, height and width: a bias's gradient, the only sum that is no primitive."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from .info import Array, array_info

__all__ = ["channel_sum"]


def channel_sum(array: Array) -> Array:
    """Return the sum over batch, height and width of an (N, C, H, W) array: the gradient of a bias.

    Its error stays within the bound of a sum of n terms, whatever their order in memory. NumPy and torch use
    pairwise summation along some axes only, and sequential along the rest. So NumPy's float16 and float32 are
    accumulated in float64, and all other types in blocks that are added pairwise.
    """
    fact = array_info("grad_output", array)
    if fact.library == "torch":
        if fact.dtype.startswith("uint"):  # torch does not sum these; int64 wraps around alike
            return array.long().sum((0, 2, 3)).to(array.dtype)
        torch: Any = sys.modules["torch"]
        dtype = torch.float32 if fact.dtype in ("float16", "bfloat16") else array.dtype
        most = _at_once(array) if fact.device == "cpu" else ON_A_GPU
        return _sum_in_blocks(array, array.stride(), dtype, most).to(array.dtype)
    if fact.library == "cupy":
        with array.device:  # it need not be the current one
            return _wide_sum(array, fact.dtype, ON_A_GPU)
    array = np.asarray(array)
    with np.errstate(all="ignore"):  # as in a backend: the caller's settings do not matter
        return _wide_sum(array, fact.dtype, _at_once(array))


#: The terms that a GPU adds in one go: hundreds of threads share them, and starting a kernel takes long.
ON_A_GPU = 2**22


def _wide_sum(array: Array, dtype: str, most: int) -> Array:
    wider = {"float16": "float64", "bfloat16": "float64", "float32": "float64", "complex64": "complex128"}
    if dtype in wider or array.dtype.kind in "iu":
        total = array.sum(axis=(0, 2, 3), dtype=wider.get(dtype, array.dtype))
    else:
        total = _sum_in_blocks(array, array.strides, array.dtype, most)
    return total.astype(array.dtype, copy=False)


def _at_once(array: Array) -> int:
    """Return how many terms may be added sequentially, where blocks of them are added pairwise.

    If all are equal, each addition of n errs by eps/8 of the total at most, and the bound is (8 + √n) eps.
    """
    return 64 + 4 * math.isqrt(_terms(array))


def _terms(array: Array) -> int:
    return int(array.shape[0] * array.shape[2] * array.shape[3])


def _sum_in_blocks(array: Array, strides: tuple[int, ...], dtype: Any, most: int) -> Array:
    """Return the sum over batch, height and width; split where a chain would exceed `most` terms."""
    if _terms(array) // _run(array, strides) <= most:
        return array.sum((0, 2, 3), dtype=dtype)
    axis = max((0, 2, 3), key=lambda axis: (array.shape[axis] > 1, abs(strides[axis])))
    half, before = array.shape[axis] // 2, (slice(None),) * axis
    return _sum_in_blocks(array[(*before, slice(half))], strides, dtype, most) + _sum_in_blocks(
        array[(*before, slice(half, None))], strides, dtype, most
    )


def _run(array: Array, strides: tuple[int, ...]) -> int:
    """Return how many terms a library's innermost loop covers, which it adds pairwise.

    NumPy does so only for adjacent elements, torch at any stride.
    """
    axes = sorted((axis for axis in (0, 2, 3) if array.shape[axis] > 1), key=lambda axis: strides[axis])
    step = array.itemsize if isinstance(array, np.ndarray) or not axes else strides[axes[0]]
    run = 1
    for axis in axes:
        if strides[axis] != step * run:
            break
        run *= int(array.shape[axis])
    return run
