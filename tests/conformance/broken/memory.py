"""Faults of memory: strides ignored, operands changed, elements never written, neighbours read."""

from __future__ import annotations

import numpy as np

from .faults import fault


@fault("every element")
def last_row_never_written(right, first, second, bias, problem, options):
    """Returns new memory whose last row it has not filled."""
    result = right(first, second, bias, problem, options)
    unfilled = np.empty_like(result)
    unfilled[:, :, :-1] = result[:, :, :-1]
    return unfilled


@fault("every element", on=("grad_weight",))
def empty_batch_never_written(right, first, second, bias, problem, options):
    """Wrong only for an empty batch: returns uninitialised memory, since it has nothing to add to it."""
    result = right(first, second, bias, problem, options)
    return result if problem.batch else np.empty_like(result)


# --- strides ----------------------------------------------------------------------------------------------


@fault("any layout")
def strides_of_the_first_operand_ignored(right, first, second, bias, problem, options):
    """Reads the first operand in memory order, whatever the order of its axes."""
    return right(first.ravel(order="K").reshape(first.shape), second, bias, problem, options)


@fault("any layout")
def strides_of_the_second_operand_ignored(right, first, second, bias, problem, options):
    """Reads the second operand in memory order, whatever the order of its axes."""
    return right(first, second.ravel(order="K").reshape(second.shape), bias, problem, options)


@fault("any layout")
def strides_without_their_sign(right, first, second, bias, problem, options):
    """Wrong only for reversed views: ignores the sign of strides."""
    turned = first[tuple(slice(None, None, -1 if step < 0 else 1) for step in first.strides)]
    return right(turned, second, bias, problem, options)


@fault("any layout")
def broadcast_read_as_dense(right, first, second, bias, problem, options):
    """Wrong only for broadcast operands: multiplies the elements that a stride of 0 repeats by zero."""
    repeats = any(step == 0 and size > 1 for step, size in zip(first.strides, first.shape, strict=True))
    return right(first * first.dtype.type(not repeats), second, bias, problem, options)


@fault("any layout", "torch tensors")
def gaps_between_elements_read(right, first, second, bias, problem, options):
    """Wrong only if the elements of a row are not adjacent: reads the gaps."""
    if first.ndim == 4 and first.shape[3] > 1 and first.strides[3] == 2 * first.itemsize:
        first = np.lib.stride_tricks.as_strided(first, strides=(*first.strides[:3], first.itemsize))
    return right(first, second, bias, problem, options)


@fault("any layout")
def unaligned_refused(right, first, second, bias, problem, options):
    """Fails only for operands that are not aligned."""
    if not (first.flags.aligned and second.flags.aligned):
        raise ValueError("not aligned")
    return right(first, second, bias, problem, options)


# --- operands ---------------------------------------------------------------------------------------------


@fault("any layout")
def read_only_refused(right, first, second, bias, problem, options):
    """Fails only for operands that cannot be written, to which it adds zero."""
    first += first.dtype.type(0)
    return right(first, second, bias, problem, options)


@fault("any layout", "unchanged operands")
def operand_modified(right, first, second, bias, problem, options):
    """Adds one to the first operand at the end."""
    result = right(first, second, bias, problem, options)
    if first.flags.writeable:
        first[:1] += first.dtype.type(1)
    return result


@fault("unchanged operands")
def nan_cleaned_in_place(right, first, second, bias, problem, options):
    """Wrong only for NaN: replaces it in the caller's array at the end."""
    result = right(first, second, bias, problem, options)
    if first.dtype.kind == "f" and first.flags.writeable:
        np.nan_to_num(first, copy=False)
    return result


@fault("random data", "public functions")
def result_over_an_operand(right, first, second, bias, problem, options):
    """Wrong only if both have the same shape: writes the result over the first operand."""
    result = right(first, second, bias, problem, options)
    if result.shape != first.shape or not first.flags.writeable:
        return result
    first[...] = result
    return first


# --- neighbours -------------------------------------------------------------------------------------------


def behind(array, count):
    """Return the elements that lie behind a contiguous array, as far as these are those of an array too."""
    root = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    if root.ndim != 1 or root.dtype != array.dtype or not array.flags.c_contiguous:
        return array.ravel()[:0]
    start = (array.ctypes.data - root.ctypes.data) // array.itemsize + array.size
    return root[start : start + count]


@fault("any layout")
def vector_read_past_the_end(right, first, second, bias, problem, options):
    """Wrong only if NaN lies behind an operand: multiplies it by zero."""
    result = right(first, second, bias, problem, options)
    result.reshape(-1)[-1:] += (behind(first, 7) * first.dtype.type(0)).sum(dtype=first.dtype)
    return result


@fault("any layout", "unchanged operands")
def vector_written_past_the_end(right, first, second, bias, problem, options):
    """Clears one element too many, which lies behind an operand."""
    neighbours = behind(first, 1)
    if neighbours.flags.writeable:
        neighbours[:] = 0
    return right(first, second, bias, problem, options)
