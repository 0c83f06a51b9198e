"""Steps that several of these backends take: padding, groups, spreading, the windows of a tap."""

from __future__ import annotations

import numpy as np


def grouped(array, groups, axis):
    """Split an axis into groups and what a group has."""
    shape = array.shape
    return array.reshape(*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])


def padded(x, problem):
    return grouped(np.pad(x, ((0, 0), (0, 0), *problem.padding)), problem.groups, 1)


def padded_size(problem):
    return [size + sum(sides) for size, sides in zip(problem.input_size, problem.padding, strict=True)]


def unpadded(dx, problem):
    """Take the padding off an image whose channels are in groups."""
    (top, _), (left, _) = problem.padding
    H, W = problem.input_size
    return np.ascontiguousarray(dx[..., top : top + H, left : left + W]).reshape(problem.input_shape)


def spread(array, steps):
    """Put steps − 1 zeros between neighbours of the last two axes."""
    (rows, columns), (down, right) = array.shape[-2:], steps
    wide = np.zeros((*array.shape[:-2], (rows - 1) * down + 1, (columns - 1) * right + 1), array.dtype)
    wide[..., ::down, ::right] = array
    return wide


def every(array, steps, count):
    """Take `count` rows and columns, `steps` apart."""
    ends = [(n - 1) * step + 1 for n, step in zip(count, steps, strict=True)]
    return array[..., : ends[0] : steps[0], : ends[1] : steps[1]]


def with_bias(result, bias):
    return result if bias is None else result + bias[:, None, None]
