"""Turns any convolution into a plain one: no stride, no dilation, no padding.

Along one axis, output p takes tap r of the kernel times pixel ``p·stride + r·dilation`` of the padded
image. Let ``r·dilation = i·stride + a``: then it is pixel p + i of the phase a, which is every stride-th
pixel from the a-th on::

    y[p] = Σ_a Σ_i  w_a[i] · x_a[p + i]

So phases become channels, over which a plain convolution sums. Phases that no tap meets are left out, and
each used pixel lies in one phase only, so that gradients are computed the same way.

A cyclic correlation of `length` elements is right for p < output_size, since p + i never reaches the end.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.fft import next_fast_len

from convhub.backend import Array, Problem

__all__ = [
    "Axis",
    "Grid",
    "by_group",
    "grid_of",
    "images_on_grid",
    "kernels_on_grid",
    "outputs_on_grid",
    "read_images",
    "read_kernels",
    "read_outputs",
]


class Axis(NamedTuple):
    """One axis.

    Parameters
    ----------
    phase, offset : ndarray of int
        For each tap of the kernel, the phase that it meets, and its position in that phase.
    pixels : tuple of (slice, slice)
        For each phase, places on the grid, and the pixels of the image (without its padding) that lie there.
    length : int
        The length of the grid, and of the transform.
    """

    phase: Array
    offset: Array
    pixels: tuple[tuple[slice, slice], ...]
    length: int


class Grid(NamedTuple):
    """Both axes."""

    rows: Axis
    columns: Axis

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the grid."""
        return self.rows.length, self.columns.length

    @property
    def phases(self) -> tuple[int, int]:
        """The number of phases on each axis."""
        return len(self.rows.pixels), len(self.columns.pixels)

    @property
    def taps(self) -> tuple[Array, Array, Array, Array]:
        """Row and column on the grid, and phase of rows and columns, of each tap (r, s)."""
        rows, columns = self.rows, self.columns
        return rows.offset[:, None], columns.offset, rows.phase[:, None], columns.phase


@lru_cache(maxsize=256)
def grid_of(problem: Problem) -> Grid:
    """Return the grid on which a problem is a plain convolution."""
    rows, columns = (
        _axis(
            problem.input_size[axis],
            problem.output_size[axis],
            problem.kernel_size[axis],
            problem.stride[axis],
            problem.dilation[axis],
            problem.padding[axis][0],
        )
        for axis in (0, 1)
    )
    return Grid(rows, columns)


def _axis(size: int, outputs: int, kernel: int, stride: int, dilation: int, before: int) -> Axis:
    offset, remainder = np.divmod(np.arange(kernel) * dilation, stride)
    phases, phase = np.unique(remainder, return_inverse=True)
    used = outputs + int(offset.max())
    pixels = tuple(_pixels(int(a), size, used, stride, before) for a in phases)
    return Axis(phase, offset, pixels, next_fast_len(used, real=True))


def _pixels(phase: int, size: int, used: int, stride: int, before: int) -> tuple[slice, slice]:
    """Return the places of a phase that are not padding, and the pixels that lie there."""
    place = max(0, -((phase - before) // stride))
    pixel = place * stride + phase - before
    count = min(used - place, -((pixel - size) // stride))
    if count <= 0:
        return slice(0, 0), slice(0, 0)
    return slice(place, place + count), slice(pixel, pixel + (count - 1) * stride + 1, stride)


# Arrays on the grid have its axes first, so that spectra are stacks of matrices without a copy; then come the
# groups, and the two axes of a matrix product. The phases belong to the input channels. All are float64.


def by_group(array: Array, axis: int, groups: int) -> Array:
    """Return a view in which the axis of channels is two: groups, and the channels of a group."""
    shape = array.shape
    return array.reshape(*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])


def images_on_grid(x: Array, grid: Grid) -> Array:
    """Lay images, (N, G, C, H, W), on the grid: (rows, columns, G, N, C, phases of rows, of columns)."""
    N, G, C = x.shape[:3]
    laid = np.zeros((*grid.shape, G, N, C, *grid.phases))
    for a, (rows, from_rows) in enumerate(grid.rows.pixels):
        for b, (columns, from_columns) in enumerate(grid.columns.pixels):
            laid[rows, columns, ..., a, b] = x[..., from_rows, from_columns].transpose(3, 4, 1, 0, 2)
    return laid


def read_images(laid: Array, grid: Grid, x: Array) -> None:
    """Write to `x` what lies where `images_on_grid` would have put it; the phases may be one axis."""
    laid = laid.reshape(*laid.shape[:4], -1, *grid.phases)
    for a, (rows, from_rows) in enumerate(grid.rows.pixels):
        for b, (columns, from_columns) in enumerate(grid.columns.pixels):
            x[..., from_rows, from_columns] = laid[rows, columns, ..., a, b].transpose(3, 2, 4, 0, 1)


def outputs_on_grid(y: Array, grid: Grid) -> Array:
    """Lay outputs, (N, G, K, P, Q), on the grid: (rows, columns, G, N, K)."""
    N, G, K, P, Q = y.shape
    laid = np.zeros((*grid.shape, G, N, K))
    laid[:P, :Q] = y.transpose(3, 4, 1, 0, 2)
    return laid


def read_outputs(laid: Array, y: Array) -> None:
    """Write to `y` what lies where `outputs_on_grid` would have put it."""
    P, Q = y.shape[-2:]
    y[...] = laid[:P, :Q].transpose(3, 2, 4, 0, 1)


def kernels_on_grid(w: Array, grid: Grid) -> Array:
    """Lay kernels, (G, K, C, R, S), on the grid: (rows, columns, G, K, C, phases of rows, of columns)."""
    laid = np.zeros((*grid.shape, *w.shape[:3], *grid.phases))
    rows, columns, a, b = grid.taps
    laid[rows, columns, :, :, :, a, b] = w.transpose(3, 4, 0, 1, 2)
    return laid


def read_kernels(laid: Array, grid: Grid, w: Array) -> None:
    """Write to `w` what lies where `kernels_on_grid` would have put it; the phases may be one axis."""
    laid = laid.reshape(*laid.shape[:4], -1, *grid.phases)
    rows, columns, a, b = grid.taps
    w[...] = laid[rows, columns, :, :, :, a, b].transpose(2, 3, 4, 0, 1)
