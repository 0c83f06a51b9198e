"""Faults of arrays that are not what they seem: one axis reversed, overlapping rows, one array twice."""

from __future__ import annotations

import numpy as np
from conformance.correct.widths import widen

from .faults import fault


def _reversed_axis_ignored(position, axis):
    """Make a fault that reads an axis of an operand forwards, although its stride is negative."""

    def function(right, first, second, bias, problem, options):
        given = [first, second]
        if given[position].strides[axis] < 0:
            given[position] = np.flip(given[position], axis)
        return right(*given, bias, problem, options)

    return function


_NAMES = {
    "first": ("image", "channel", "row", "column"),
    "second": ("output_channel", "input_channel", "tap_row", "tap_column"),
}
for _position, (_which, _axes) in enumerate(_NAMES.items()):
    for _axis, _what in enumerate(_axes):
        _function = _reversed_axis_ignored(_position, _axis)
        _function.__name__ = f"reversed_{_what}_axis_ignored"
        _function.__doc__ = f"Wrong only if axis {_axis} of the {_which} operand is reversed: reads on."
        fault("each axis")(_function)


@fault("each axis", on=("forward", "grad_input"))
def reversed_bias_ignored(right, first, second, bias, problem, options):
    """Wrong only for a bias with a negative stride: reads it forwards."""
    if bias is not None and bias.strides[0] < 0:
        bias = bias[::-1]
    return right(first, second, bias, problem, options)


@fault("each axis")
def overlapping_rows_taken_for_dense(right, first, second, bias, problem, options):
    """Wrong only if rows overlap in memory: assumes that they follow each other."""
    row, column = first.strides[2], first.strides[3]
    if first.shape[2] > 1 and first.shape[3] > 1 and 0 < row < column * first.shape[3] and column > 0:
        first = first.copy()
        first[:, :, 1:] = first[:, :, :1]
    return right(first, second, bias, problem, options)


@fault("each axis")
def channels_last_second_operand_misread(right, first, second, bias, problem, options):
    """Wrong only if the second operand's channels lie next to each other: reads it as if it were planar."""
    if second.strides[1] == second.itemsize and second.shape[1] > 1 and min(second.shape[2:]) > 1:
        flat = np.ascontiguousarray(second.transpose(0, 2, 3, 1)).reshape(second.shape)
        return right(first, flat, bias, problem, options)
    return right(first, second, bias, problem, options)


@fault("one array twice")
def operands_told_apart_by_identity(right, first, second, bias, problem, options):
    """Wrong only for one array as both operands: reads its images in the second's order."""
    if first is second or (first.ctypes.data == second.ctypes.data and first.shape == second.shape):
        first = first[::-1]
    return right(first, second, bias, problem, options)


def _is_identity(second, problem):
    square = second.shape[0] == second.shape[1] and second.shape[2:] == (1, 1)
    return square and np.array_equal(widen(second)[:, :, 0, 0], np.eye(second.shape[0]))


@fault("own result", on=("forward", "grad_input"))
def identity_returns_the_operand(right, first, second, bias, problem, options):
    """Wrong only if the weight is an identity: returns the operand itself."""
    plain = problem.stride == (1, 1) and problem.padding == ((0, 0), (0, 0)) and problem.groups == 1
    if bias is None and plain and _is_identity(second, problem) and first.shape == problem.result_shape:
        return first
    return right(first, second, bias, problem, options)


@fault("own result", on=("forward", "grad_input"))
def one_by_one_image_returns_a_view(right, first, second, bias, problem, options):
    """Wrong only for one pixel and an identity: returns a view of the operand."""
    one_pixel = first.shape == problem.result_shape and first.shape[2:] == (1, 1)
    if bias is None and one_pixel and problem.groups == 1 and _is_identity(second, problem):
        return first.reshape(problem.result_shape)
    return right(first, second, bias, problem, options)
