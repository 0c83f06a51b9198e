"""Computes small convolutions in a dozen calls to NumPy, each of which costs more than the arithmetic.

A window over an array, made by strides that overlap, shows every column at once, and one copy writes
them all. No tile, thread or buffer is needed.
"""

from __future__ import annotations

from functools import lru_cache
from types import EllipsisType
from typing import NamedTuple

import numpy as np

from convhub.backend import Array, Problem

from .axes import Axis
from .dtypes import work_dtype
from .products import block_sizes, fits, multiply_small

__all__ = ["SmallPlan", "gather_small", "small_plan", "weight_small"]

#: Bytes of columns up to which a convolution is small.
SMALL_BYTES = 2**15


class SmallPlan(NamedTuple):
    """The layout of the columns of a small convolution.

    The columns are ``shape`` (G, C, R, S, N, P, Q), ``strides`` and ``begin`` in bytes, of a C
    contiguous array: the source itself, or where there is padding a copy of its part ``taken``, placed
    at ``inner`` in zeros of shape ``framed``. Products are summed ``terms_at_once``.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    begin: int
    matrix: tuple[int, int, int]
    framed: tuple[int, ...]
    taken: tuple[EllipsisType, slice, slice]
    inner: tuple[EllipsisType, slice, slice]
    padded: bool
    terms_at_once: int
    is_complex: bool


@lru_cache(maxsize=512)
def small_plan(problem: Problem, limit: int, rows: Axis, cols: Axis) -> SmallPlan | None:
    """Return the plan to do `problem` in one step, or None if it is too large or needs a wider type."""
    dtype = work_dtype(problem)
    groups, item = problem.groups, dtype.itemsize
    inputs, outputs = problem.group_channels
    terms, heads = (outputs, inputs) if problem.primitive == "grad_input" else (inputs, outputs)
    length, pixels = terms * rows.taps * cols.taps, problem.batch * rows.results * cols.results
    height = (rows.results - 1) * rows.stride + (rows.taps - 1) * rows.dilation + 1
    width = (cols.results - 1) * cols.stride + (cols.taps - 1) * cols.dilation + 1
    sizes = (heads, length, pixels) if problem.primitive == "grad_weight" else (heads, pixels, length)
    framed = (problem.batch, groups * terms, height, width)
    # Columns, a framed source, the other operand and the result may each be copied once.
    copies = (
        groups * length * pixels
        + problem.batch * groups * terms * height * width
        + groups * heads * (length + 2 * pixels)
    )
    if (
        dtype.name != problem.dtype
        or not pixels
        or groups * length * pixels * item > SMALL_BYTES
        or copies * item > limit
        or rows.step * cols.step > 1
        or not fits(*sizes, dtype.kind)
    ):
        return None
    padded = rows.padded or cols.padded
    rows_taken, rows_inner = _overlap(rows, height)
    cols_taken, cols_inner = _overlap(cols, width)
    begin = 0
    if not padded:
        framed = (problem.batch, groups * terms, rows.size, cols.size)
        begin = (rows.offset * cols.size + cols.offset) * item
    line = framed[3] * item
    plane = framed[2] * line
    return SmallPlan(
        shape=(groups, terms, rows.taps, cols.taps, problem.batch, rows.results, cols.results),
        strides=(
            terms * plane,
            plane,
            rows.dilation * line,
            cols.dilation * item,
            groups * terms * plane,
            rows.stride * line,
            cols.stride * item,
        ),
        begin=begin,
        matrix=(groups, length, pixels),
        framed=framed,
        taken=(..., rows_taken, cols_taken),
        inner=(..., rows_inner, cols_inner),
        padded=padded,
        terms_at_once=block_sizes(*sizes, dtype.kind)[2],
        is_complex=dtype.kind == "c",
    )


def _overlap(axis: Axis, size: int) -> tuple[slice, slice]:
    """Return the part of the source that a frame of `size` holds, and where it lies in the frame."""
    begin = max(0, axis.offset)
    end = max(begin, min(axis.size, axis.offset + size))
    return slice(begin, end), slice(begin - axis.offset, end - axis.offset)


def _columns(source: Array, plan: SmallPlan) -> Array:
    """Return the columns of `source`, (N, C, H, W), as matrices (G, L, pixels)."""
    if plan.padded:
        framed = np.zeros(plan.framed, source.dtype)
        framed[plan.inner] = source[plan.taken]
        source = framed
    elif not (source.flags.c_contiguous and source.flags.aligned):
        source = source.copy()
    window: Array = np.ndarray(plan.shape, source.dtype, source, plan.begin, plan.strides)
    return window.reshape(plan.matrix)


def gather_small(source: Array, weight: Array, bias: Array | None, plan: SmallPlan) -> Array:
    """Return the result of forward or grad_input; `weight` is (G, channels, terms, R, S)."""
    groups, length, _ = plan.matrix
    channels = weight.shape[1]
    images, rows, cols = plan.shape[4:]
    matrix = weight.reshape(groups, channels, length)
    if not matrix.flags.aligned:
        matrix = matrix.copy()
    with np.errstate(all="ignore"):
        result = multiply_small(matrix, _columns(source, plan), plan.terms_at_once)
        if bias is not None:
            result += bias.reshape(groups, channels, 1)
    if images == 1:
        return result.reshape(1, groups * channels, rows, cols)
    result = result.reshape(groups * channels, images, rows, cols)
    return np.ascontiguousarray(result.swapaxes(0, 1))


def weight_small(dy: Array, x: Array, plan: SmallPlan) -> Array:
    """Return grad_weight, (K, C / groups, R, S)."""
    groups, _, pixels = plan.matrix
    heads = dy.shape[1] // groups
    outputs = dy.swapaxes(0, 1).reshape(groups, heads, pixels)
    if not outputs.flags.aligned:
        outputs = outputs.copy()
    with np.errstate(all="ignore"):
        result = multiply_small(outputs, _columns(x, plan).swapaxes(1, 2), plan.terms_at_once)
    return result.reshape(groups * heads, *plan.shape[1:4])
