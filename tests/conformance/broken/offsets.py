"""Faults of stride, dilation and padding that only some of their combinations show."""

from __future__ import annotations

import numpy as np

from .faults import fault


def _doubled(result, index):
    """Return the result with the elements at an index twice as large."""
    result[index] *= 2
    return result


@fault("random data")
def stride_and_dilation_of_different_axes(right, first, second, bias, problem, options):
    """Wrong only for a stride in one axis and dilation in the other: a tile is as high as it is wide."""
    result = right(first, second, bias, problem, options)
    (sh, sw), (dh, dw) = problem.stride, problem.dilation
    if (sh > 1 and dw > 1 and sw == dh == 1) or (sw > 1 and dh > 1 and sh == dw == 1):
        result = _doubled(result, np.s_[..., -1])
    return result


@fault("exact integers")
def stride_and_dilation_without_common_divisor(right, first, second, bias, problem, options):
    """Wrong only for stride 2 with dilation 3, in one axis: phases are formed with their common divisor."""
    result = right(first, second, bias, problem, options)
    if (2, 3) in zip(problem.stride, problem.dilation, strict=True):
        result = _doubled(result, np.s_[..., -1, -1])
    return result


@fault("random data")
def large_strides(right, first, second, bias, problem, options):
    """Wrong only for strides above 3: the last column is read past the end."""
    result = right(first, second, bias, problem, options)
    return _doubled(result, np.s_[..., -1]) if max(problem.stride) > 3 else result


@fault("random data")
def stride_larger_than_the_kernel(right, first, second, bias, problem, options):
    """Wrong only for strides larger than the kernel: the gap between windows counts as the kernel's."""
    result = right(first, second, bias, problem, options)
    if any(s > k > 1 for s, k in zip(problem.stride, problem.kernel_size, strict=True)):
        result = _doubled(result, np.s_[..., -1])
    return result


@fault("random data")
def unequal_strides(right, first, second, bias, problem, options):
    """Wrong only for strides above one that differ: the last row takes the other's."""
    result = right(first, second, bias, problem, options)
    if min(problem.stride) > 1 and problem.stride[0] != problem.stride[1]:
        result = _doubled(result, np.s_[..., -1, :])
    return result


@fault("random data")
def unequal_dilations(right, first, second, bias, problem, options):
    """Wrong only for dilations above one that differ: the last row takes the other's."""
    result = right(first, second, bias, problem, options)
    if min(problem.dilation) > 1 and problem.dilation[0] != problem.dilation[1]:
        result = _doubled(result, np.s_[..., -1, :])
    return result


@fault("random data")
def large_dilations(right, first, second, bias, problem, options):
    """Wrong only for dilations above 4: a table of taps is too short."""
    result = right(first, second, bias, problem, options)
    return _doubled(result, np.s_[..., 0]) if max(problem.dilation) > 4 else result


@fault("different callers", on=("grad_weight",))
def dilated_depthwise(right, first, second, bias, problem, options):
    """Wrong only for dilated depthwise layers: the first row is computed without dilation."""
    result = right(first, second, bias, problem, options)
    if 1 < problem.groups == problem.in_channels and max(problem.dilation) > 1:
        result = _doubled(result, np.s_[..., 0, :])
    return result


@fault("random data")
def dilated_with_stride_and_groups(right, first, second, bias, problem, options):
    """Wrong only for dilation and stride and groups together: falls back to another, untested path."""
    result = right(first, second, bias, problem, options)
    if problem.groups > 1 and max(problem.dilation) > 1 and max(problem.stride) > 1:
        result = _doubled(result, np.s_[..., -1])
    return result


def _alone(problem):
    """Return which of top, bottom, left and right are padded."""
    return tuple(bool(side) for axis in problem.padding for side in axis)


@fault("random data")
def padding_of_the_top_alone(right, first, second, bias, problem, options):
    """Wrong only for padding of the top alone: the first row counts its padding twice."""
    result = right(first, second, bias, problem, options)
    if _alone(problem) == (True, False, False, False):
        result = _doubled(result, np.s_[:, :, 0])
    return result


@fault("different callers", on=("grad_weight",))
def padding_of_the_bottom_alone(right, first, second, bias, problem, options):
    """Wrong only for padding of the bottom alone: a test for padding reads the other side, and skips it."""
    result = right(first, second, bias, problem, options)
    if _alone(problem) == (False, True, False, False):
        result = _doubled(result, np.s_[:, :, -1])
    return result


@fault("different callers", on=("grad_weight",))
def padding_of_the_left_alone(right, first, second, bias, problem, options):
    """Wrong only for padding of the left alone: the first column counts its padding twice."""
    result = right(first, second, bias, problem, options)
    if _alone(problem) == (False, False, True, False):
        result = _doubled(result, np.s_[..., 0])
    return result


@fault("different callers", on=("grad_weight",))
def padding_of_the_right_alone(right, first, second, bias, problem, options):
    """Wrong only for padding of the right alone: a test for padding reads the other side, and skips it."""
    result = right(first, second, bias, problem, options)
    if _alone(problem) == (False, False, False, True):
        result = _doubled(result, np.s_[..., -1])
    return result


@fault("same shapes", on=("grad_weight",))
def same_padding_of_even_kernels(right, first, second, bias, problem, options):
    """Wrong only for even kernels with one more pixel of padding on the right: it is put on the left."""
    (_, _), (before, after) = problem.padding
    result = right(first, second, bias, problem, options)
    if problem.kernel_size[1] % 2 == 0 and after == before + 1:
        result = np.ascontiguousarray(np.roll(result, 1, 3))
    return result


@fault("different callers", on=("grad_weight",))
def causal_padding(right, first, second, bias, problem, options):
    """Wrong only for padding of the left alone by a whole dilated kernel: the last column is wrong."""
    (top, bottom), (before, after) = problem.padding
    result = right(first, second, bias, problem, options)
    if (
        before
        and before == problem.dilation[1] * (problem.kernel_size[1] - 1)
        and top == bottom == after == 0
    ):
        result = _doubled(result, np.s_[..., -1])
    return result


@fault("random data")
def rows_padded_and_columns_not(right, first, second, bias, problem, options):
    """Wrong only for padding of rows alone, on both sides: the loop without tests is taken for columns."""
    result = right(first, second, bias, problem, options)
    if _alone(problem) == (True, True, False, False):
        result = _doubled(result, np.s_[..., -1, -1])
    return result


@fault("random data")
def padding_of_four_different_sizes(right, first, second, bias, problem, options):
    """Wrong only for padding that differs on both axes: the order of the four numbers is another."""
    result = right(first, second, bias, problem, options)
    (top, bottom), (before, after) = problem.padding
    if top != bottom and before != after:
        result = _doubled(result, np.s_[..., 0])
    return result


@fault("positive data", on=("grad_input",))
def output_padding_of_columns_has_no_bias(right, dy, w, bias, problem, options):
    """Wrong only for columns that no window reaches: those that output padding adds have no bias."""
    result = right(dy, w, bias, problem, options)
    unread = (
        problem.input_size[1] + sum(problem.padding[1]) - problem.dilation[1] * (problem.kernel_size[1] - 1)
    )
    unread = (unread - 1) % problem.stride[1] - problem.padding[1][1]
    if unread > 0:
        result[..., -unread:] = 0
    return result


@fault("random data", on=("grad_input",))
def output_padding_of_rows_repeats_the_last(right, dy, w, bias, problem, options):
    """Wrong only for rows that no window reaches: they repeat the last that one does."""
    result = right(dy, w, bias, problem, options)
    unread = (
        problem.input_size[0] + sum(problem.padding[0]) - problem.dilation[0] * (problem.kernel_size[0] - 1)
    )
    unread = (unread - 1) % problem.stride[0] - problem.padding[0][1]
    if 0 < unread < problem.input_size[0]:
        result[:, :, -unread:] = result[:, :, -unread - 1 : -unread]
    return result


@fault("random data", on=("grad_weight",))
def unread_pixels_shift_the_gradient(right, dy, x, bias, problem, options):
    """Wrong only where the last columns are never read: the gradient is cut on the left."""
    result = right(dy, x, bias, problem, options)
    span = (
        problem.input_size[1] + sum(problem.padding[1]) - problem.dilation[1] * (problem.kernel_size[1] - 1)
    )
    if (span - 1) % problem.stride[1]:
        result = np.ascontiguousarray(np.roll(result, -1, 3)) * result.dtype.type(2)
    return result
