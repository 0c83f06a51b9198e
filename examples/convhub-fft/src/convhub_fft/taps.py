"""Computes the three primitives as sums over the taps of the kernel, each a matrix product.

This is for problems that transforms cannot compute, or not well: see `convhub_fft.plan`. An image is
processed in bands of output rows, as high as memory allows, at least a single row. Taps on the padding are
left out, so that a NaN reaches the outputs whose window holds it, and no other.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from convhub.backend import Array, Problem, RunOptions

from .grid import by_group
from .plan import cut

__all__ = ["add_forward", "add_grad_input", "add_grad_weight"]

Place = tuple[int, int, tuple[slice, slice], tuple[slice, slice]]


def add_forward(x: Array, w: Array, y: Array, problem: Problem, options: RunOptions) -> None:
    """Add the result of images ``x`` to ``y``; both may have fewer images than the problem."""
    w = by_group(w, 0, problem.groups)
    for x_n, y_n in _images(x, y, problem):
        for r, s, outputs, pixels in _places(problem, options):
            seen = x_n[:, :, *pixels]
            product = w[..., r, s] @ seen.reshape(*seen.shape[:2], -1)
            y_n[:, :, *outputs] += product.reshape(*product.shape[:2], *seen.shape[2:])


def add_grad_input(dy: Array, w: Array, dx: Array, problem: Problem, options: RunOptions) -> None:
    """Add the result of images ``dy`` to ``dx``; both may have fewer images than the problem."""
    w = by_group(w, 0, problem.groups).swapaxes(1, 2)
    for dy_n, dx_n in _images(dy, dx, problem):
        for r, s, outputs, pixels in _places(problem, options):
            seen = dy_n[:, :, *outputs]
            product = w[..., r, s] @ seen.reshape(*seen.shape[:2], -1)
            dx_n[:, :, *pixels] += product.reshape(*product.shape[:2], *seen.shape[2:])


def add_grad_weight(dy: Array, x: Array, dw: Array, problem: Problem, options: RunOptions) -> None:
    """Add the result of images ``dy`` and ``x`` to ``dw``."""
    dw = by_group(dw, 0, problem.groups)
    for dy_n, x_n in _images(dy, x, problem):
        for r, s, outputs, pixels in _places(problem, options):
            given, seen = dy_n[:, :, *outputs], x_n[:, :, *pixels]
            columns = seen.reshape(*seen.shape[:2], -1).swapaxes(1, 2)
            dw[..., r, s] += given.reshape(*given.shape[:2], -1) @ columns


def _images(one: Array, other: Array, problem: Problem) -> Iterator[tuple[Array, Array]]:
    """Yield views of the images of two operands, each as (groups, channels of a group, rows, columns)."""
    return zip(by_group(one, 1, problem.groups), by_group(other, 1, problem.groups), strict=True)


def _places(problem: Problem, options: RunOptions) -> Iterator[Place]:
    """Yield the taps, once for each band, with their outputs and the pixels that they multiply."""
    P, Q = problem.output_size
    row = Q * (problem.in_channels + problem.out_channels) * np.dtype(problem.dtype).itemsize
    for band in cut(P, max(1, options.workspace_limit // row)):
        for r in range(problem.kernel_size[0]):
            rows, from_rows = _meeting(problem, 0, r, band)
            for s in range(problem.kernel_size[1]):
                columns, from_columns = _meeting(problem, 1, s, slice(0, Q))
                if rows.start < rows.stop and columns.start < columns.stop:
                    yield r, s, (rows, columns), (from_rows, from_columns)


def _meeting(problem: Problem, axis: int, tap: int, outputs: slice) -> tuple[slice, slice]:
    """Return the outputs to which a tap contributes along an axis, and the pixels that it multiplies."""
    stride, shift = problem.stride[axis], tap * problem.dilation[axis] - problem.padding[axis][0]
    first = max(outputs.start, -(shift // stride))
    last = min(outputs.stop, (problem.input_size[axis] - 1 - shift) // stride + 1)
    pixel = first * stride + shift
    return slice(first, last), slice(pixel, pixel + max(0, last - first - 1) * stride + 1, stride)
