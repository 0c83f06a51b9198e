"""Lays out the same numbers in memory in every way that callers do."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ...reference.oracle import Array

__all__ = ["BUILDERS", "View", "broadcast", "broadcast_values"]


#: Elements of garbage before and after an array: at least a cache line of the narrowest type.
MARGIN = 64


class View(NamedTuple):
    """A view, and the one-dimensional array that holds its elements and those between and around them."""

    array: Array
    buffer: Array


def _contiguous(values: Array) -> View:
    """Surround with garbage: a read beyond the array meets NaN, and a write there changes the buffer."""
    buffer = np.full(values.size + 2 * MARGIN, _garbage(values.dtype), values.dtype)
    view = buffer[MARGIN : MARGIN + values.size].reshape(values.shape)
    view[...] = values
    return View(view, buffer)


def _reversed(values: Array) -> View:
    every_axis = (slice(None, None, -1),) * values.ndim
    view, buffer = _contiguous(values[every_axis])
    return View(view[every_axis], buffer)


def _fortran(values: Array) -> View:
    view, buffer = _contiguous(values.T)
    return View(view.T, buffer)


def _channels_last(values: Array) -> View:
    if values.ndim != 4:
        return _contiguous(values)
    view, buffer = _contiguous(values.transpose(0, 2, 3, 1))
    return View(view.transpose(0, 3, 1, 2), buffer)


def _sliced(values: Array) -> View:
    """Lay out as every second element of a larger array along each axis, with garbage between."""
    shape = tuple(2 * size + 1 for size in values.shape)
    buffer = np.full(int(np.prod(shape)), _garbage(values.dtype), values.dtype)
    view = buffer.reshape(shape)[tuple(slice(1, None, 2) for _ in shape)]
    view[...] = values
    return View(view, buffer)


def _unaligned(values: Array) -> View:
    buffer = np.zeros(values.nbytes + 1, np.uint8)
    view: Array = np.ndarray(values.shape, values.dtype, buffer.data, offset=1)
    view[...] = values
    return View(view, buffer)


def _read_only(values: Array) -> View:
    view = _contiguous(values)
    view.buffer.flags.writeable = False
    view.array.flags.writeable = False
    return view


def broadcast(values: Array) -> View:
    """Lay out with stride 0 along an axis on which `values` must be constant: see `broadcast_values`."""
    axis = _broadcast_axis(values.shape)
    buffer = values.take([0], axis).flatten() if values.size else values.flatten()
    if not values.size:
        return View(buffer.reshape(values.shape), buffer)
    shape = tuple(1 if i == axis else size for i, size in enumerate(values.shape))
    return View(np.broadcast_to(buffer.reshape(shape), values.shape), buffer)


def broadcast_values(values: Array) -> Array:
    """Return `values` made constant along the axis on which `broadcast` has stride 0."""
    if not values.size:
        return values
    axis = _broadcast_axis(values.shape)
    return np.repeat(values.take([0], axis), values.shape[axis], axis)


def _broadcast_axis(shape: tuple[int, ...]) -> int:
    """Return the shortest axis of more than one element, so that most numbers stay different."""
    return min(range(len(shape)), key=lambda axis: (shape[axis] < 2, shape[axis]))


def _garbage(dtype: np.dtype[np.generic]) -> float:
    return 77 if dtype.kind in "iu" else np.nan


#: The layouts by name; broadcasting is separate, since not all numbers can be laid out so.
BUILDERS: dict[str, Callable[[Array], View]] = {
    "contiguous": _contiguous,
    "reversed": _reversed,
    "Fortran order": _fortran,
    "channels last": _channels_last,
    "sliced": _sliced,
    "unaligned": _unaligned,
    "read-only": _read_only,
}
