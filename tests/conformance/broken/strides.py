"""Faults that only some views show: one axis reversed, broadcast or sliced, alignment, shared memory."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .faults import fault


def _dense(array):
    """Return the strides of an array of this shape without gaps."""
    return np.empty(array.shape, array.dtype).strides


def _reversed(array, axis):
    """Return what is read without the sign of one axis's stride."""
    if array.strides[axis] < 0 and array.shape[axis] > 1:
        return np.flip(array, axis)
    return array


@fault("any layout", on=("grad_weight",))
def sign_of_the_first_axis_lost(right, first, second, bias, problem, options):
    """Wrong only for a first operand whose images are reversed: takes the absolute stride."""
    return right(_reversed(first, 0), second, bias, problem, options)


@fault("any layout", on=("forward",))
def sign_of_the_channels_lost(right, first, second, bias, problem, options):
    """Wrong only for a first operand whose channels are reversed: takes the absolute stride."""
    return right(_reversed(first, 1), second, bias, problem, options)


@fault("any layout", on=("grad_input",))
def sign_of_the_rows_lost(right, first, second, bias, problem, options):
    """Wrong only for a first operand whose rows are reversed: takes the absolute stride."""
    return right(_reversed(first, 2), second, bias, problem, options)


@fault("any layout", on=("grad_weight",))
def sign_of_the_columns_lost(right, first, second, bias, problem, options):
    """Wrong only for a first operand whose columns are reversed: takes the absolute stride."""
    return right(_reversed(first, 3), second, bias, problem, options)


@fault("any layout", on=("forward",))
def flipped_second_operand_flipped_back(right, first, second, bias, problem, options):
    """Wrong only for a second operand with both last axes reversed: reads it in order of memory."""
    if second.strides[2] < 0 and second.strides[3] < 0:
        second = _reversed(_reversed(second, 2), 3)
    return right(first, second, bias, problem, options)


@fault("any layout", on=("grad_input",))
def second_operand_with_a_reversed_axis(right, first, second, bias, problem, options):
    """Wrong only for a second operand with its first axis reversed: takes the absolute stride."""
    return right(first, _reversed(second, 0), bias, problem, options)


@fault("any layout", on=("grad_input",))
def reversed_bias_read_forwards(right, first, second, bias, problem, options):
    """Wrong only for a bias that is reversed: takes the absolute stride."""
    if bias is not None and bias.strides[0] < 0:
        bias = bias[::-1]
    return right(first, second, bias, problem, options)


@fault("any layout", on=("grad_input",))
def bias_with_a_step_read_densely(right, first, second, bias, problem, options):
    """Wrong only for a bias with a positive step: reads neighbours."""
    if bias is not None and bias.strides[0] > bias.itemsize:
        bias = as_strided(bias, strides=(bias.itemsize,))
    return right(first, second, bias, problem, options)


def _step_ignored(array, axis):
    """Return what is read if one axis is taken to follow those behind it without a gap."""
    dense = _dense(array)
    others = [i for i in range(4) if i > axis and array.shape[i] > 1]
    if array.size and all(array.strides[i] == dense[i] for i in others) and array.strides[axis] > dense[axis]:
        return as_strided(array, strides=(*array.strides[:axis], dense[axis], *array.strides[axis + 1 :]))
    return array


@fault("each axis", on=("grad_weight",))
def every_other_image_read_densely(right, first, second, bias, problem, options):
    """Wrong only for images that lie apart: only the inner axes are tested for gaps."""
    return right(_step_ignored(first, 0), second, bias, problem, options)


@fault("any layout", on=("forward",))
def slice_of_channels_read_densely(right, first, second, bias, problem, options):
    """Wrong only for channels that lie apart: the stride of channels is taken for height times width."""
    return right(_step_ignored(first, 1), second, bias, problem, options)


@fault("any layout", on=("grad_input",))
def rows_with_a_pitch_read_densely(right, first, second, bias, problem, options):
    """Wrong only for rows that lie apart: the stride of rows is taken for the width."""
    return right(_step_ignored(first, 2), second, bias, problem, options)


@fault("any layout", on=("grad_weight",))
def every_other_column_read_densely(right, first, second, bias, problem, options):
    """Wrong only for columns that lie apart: the stride of columns is taken for one."""
    return right(_step_ignored(first, 3), second, bias, problem, options)


@fault("any layout", on=("forward",))
def part_of_a_larger_second_operand(right, first, second, bias, problem, options):
    """Wrong only for a second operand cut from a larger one: the stride of its second axis is ignored."""
    return right(first, _step_ignored(second, 1), bias, problem, options)


@fault("any layout", on=("grad_input",))
def channels_last_by_one_stride(right, first, second, bias, problem, options):
    """Wrong only for channels whose stride is one, but images that are no dense channels-last."""
    dense_last = np.ascontiguousarray(first.transpose(0, 2, 3, 1)).strides
    strides = tuple(first.strides[i] for i in (0, 2, 3, 1))
    if first.size and first.shape[1] > 1 and strides[3] == first.itemsize and strides != dense_last:
        return np.zeros_like(right(first, second, bias, problem, options))
    return right(first, second, bias, problem, options)


@fault("any layout", on=("grad_weight",))
def channels_last_read_as_channels_first(right, first, second, bias, problem, options):
    """Wrong only for a second operand in channels-last: it is read as it lies in memory."""
    last = second.transpose(0, 2, 3, 1)
    if last.flags.c_contiguous and not second.flags.c_contiguous:
        second = last.reshape(second.shape)
    return right(first, second, bias, problem, options)


@fault("any layout", on=("forward",))
def fortran_order_of_the_second_refused(right, first, second, bias, problem, options):
    """Fails only for a second operand in Fortran order."""
    if second.flags.f_contiguous and not second.flags.c_contiguous:
        raise ValueError("the weight must be in C order")
    return right(first, second, bias, problem, options)


@fault("any layout", on=("grad_input",))
def exchanged_images_and_channels_read_in_place(right, first, second, bias, problem, options):
    """Wrong only for a second operand whose first two axes are exchanged: it is read as it lies in memory."""
    swapped = second.swapaxes(0, 1)
    if swapped.flags.c_contiguous and not second.flags.c_contiguous:
        second = swapped.reshape(second.shape)
    return right(first, second, bias, problem, options)


@fault("each axis", on=("grad_weight",))
def overlapping_windows_refused(right, first, second, bias, problem, options):
    """Fails only for a first operand whose elements overlap: takes it for an error."""
    low = sum((n - 1) * abs(s) for n, s in zip(first.shape, first.strides, strict=True))
    if first.size and 0 not in first.strides and low // first.itemsize + 1 < first.size:
        raise ValueError("the image overlaps itself")
    return right(first, second, bias, problem, options)


def _broadcast(array, axis):
    return array.shape[axis] > 1 and array.strides[axis] == 0


@fault("any layout", on=("forward",))
def broadcast_images_counted_once(right, first, second, bias, problem, options):
    """Wrong only for one image broadcast to a batch: the others are not computed."""
    if not _broadcast(first, 0):
        return right(first, second, bias, problem, options)
    first = first.copy()
    first[1:] = 0
    return right(first, second, bias, problem, options)


@fault("any layout", on=("forward", "grad_input"))
def broadcast_channels_counted_once(right, first, second, bias, problem, options):
    """Wrong only for one channel broadcast to several: the others count as zero."""
    if not _broadcast(first, 1):
        return right(first, second, bias, problem, options)
    first = first.copy()
    first[:, 1:] = 0
    return right(first, second, bias, problem, options)


@fault("any layout", on=("grad_weight",))
def broadcast_rows_refused(right, first, second, bias, problem, options):
    """Fails only for rows or columns that are broadcast: divides by their stride."""
    if _broadcast(first, 2) or _broadcast(first, 3):
        raise ZeroDivisionError("a stride is 0")
    return right(first, second, bias, problem, options)


@fault("any layout", on=("grad_weight",))
def address_rounded_to_elements(right, first, second, bias, problem, options):
    """Wrong only for unaligned second operands: the address is rounded down."""
    if not second.flags.aligned:
        second = np.roll(second, 1)
    return right(first, second, bias, problem, options)


@fault("any layout", on=("forward",))
def address_rounded_to_vectors(right, first, second, bias, problem, options):
    """Wrong only for operands that do not begin at a multiple of 16 bytes: loads round the address down."""
    if first.size and first.ctypes.data % 16:
        first = np.roll(first, first.ctypes.data % 16 // max(1, first.itemsize) or 1)
    return right(first, second, bias, problem, options)


@fault("any layout", on=("grad_input",))
def unaligned_bias_refused(right, first, second, bias, problem, options):
    """Fails only for an unaligned bias."""
    if bias is not None and not bias.flags.aligned:
        raise ValueError("the bias is not aligned")
    return right(first, second, bias, problem, options)


@fault("any layout", on=("forward",))
def read_only_bias_refused(right, first, second, bias, problem, options):
    """Fails only for a bias that is read-only: asks for a pointer to write to."""
    if bias is not None and not bias.flags.writeable:
        raise ValueError("buffer source array is read-only")
    return right(first, second, bias, problem, options)


@fault("any layout", on=("forward",))
def strides_of_single_elements_used(right, first, second, bias, problem, options):
    """Wrong only for an axis of one element with an unusual stride: takes the stride for the pitch."""
    for operand in (first, second):
        dense = _dense(operand)
        pairs = zip(operand.shape, operand.strides, dense, strict=True)
        if operand.size > 1 and any(n == 1 and s != d for n, s, d in pairs) and operand.flags.c_contiguous:
            return np.zeros_like(right(first, second, bias, problem, options))
    return right(first, second, bias, problem, options)


@fault("random data", on=("forward",))
def second_operand_modified_if_contiguous(right, first, second, bias, problem, options):
    """Wrong only for a writeable second operand: its last element is set to zero after use."""
    result = right(first, second, bias, problem, options)
    if second.flags.c_contiguous and second.flags.writeable and second.size:
        second.flat[-1] = 0
    return result


@fault("positive data", on=("grad_input",))
def bias_modified(right, first, second, bias, problem, options):
    """Adds the bias to itself where it may: sums begin with it in place."""
    result = right(first, second, bias, problem, options)
    if bias is not None and bias.flags.writeable:
        bias += bias
    return result


@fault("unchanged operands", on=("grad_weight",))
def zeros_of_operands_lose_their_sign(right, first, second, bias, problem, options):
    """Wrong only for negative zero in an operand: it becomes positive in the caller's array."""
    result = right(first, second, bias, problem, options)
    if first.flags.writeable and first.dtype.kind == "f":
        first += 0
    return result
