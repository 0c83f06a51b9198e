"""Faults of what is returned, for some problems only: its type, shape, order and memory."""

from __future__ import annotations

import numpy as np

from .faults import fault


@fault("random data", on=("forward",))
def big_endian_result(right, first, second, bias, problem, options):
    """Returns numbers of the other byte order."""
    result = right(first, second, bias, problem, options)
    return result.astype(result.dtype.newbyteorder()) if result.itemsize > 1 else result


@fault("random data", on=("grad_input",))
def result_of_a_subclass(right, first, second, bias, problem, options):
    """Returns a masked array."""
    return np.ma.masked_array(right(first, second, bias, problem, options))


@fault("random data", on=("grad_weight",))
def none_for_an_empty_batch(right, first, second, bias, problem, options):
    """Returns None for an empty batch."""
    result = right(first, second, bias, problem, options)
    return None if problem.batch == 0 else result


@fault("random data", on=("forward",))
def empty_batch_in_float64(right, first, second, bias, problem, options):
    """Returns float64 for an empty batch, whatever its type is."""
    result = right(first, second, bias, problem, options)
    return np.zeros(result.shape) if problem.batch == 0 else result


@fault("random data", on=("grad_input",))
def empty_batch_of_no_pixels(right, first, second, bias, problem, options):
    """Returns an empty batch without height and width."""
    result = right(first, second, bias, problem, options)
    return result[:, :, :0, :0] if problem.batch == 0 else result


@fault("positive data", on=("forward",))
def float16_with_bias_in_float32(right, first, second, bias, problem, options):
    """Wrong only for float16 and bfloat16 with a bias: returns float32."""
    result = right(first, second, bias, problem, options)
    return result.astype(np.float32) if bias is not None and result.itemsize == 2 else result


@fault("random data", on=("grad_weight",))
def gradient_of_pointwise_transposed(right, dy, x, bias, problem, options):
    """Wrong only for 1×1 kernels: returns the transposed matrix product, not contiguous."""
    result = right(dy, x, bias, problem, options)
    if problem.kernel_size == (1, 1):
        result = result.transpose(1, 0, 2, 3).copy().transpose(1, 0, 2, 3)
    return result


@fault("random data", on=("grad_weight",))
def gradient_of_pointwise_squeezed(right, dy, x, bias, problem, options):
    """Wrong only for 1×1 kernels: returns a matrix."""
    result = right(dy, x, bias, problem, options)
    return result[:, :, 0, 0] if problem.kernel_size == (1, 1) else result


@fault("random data", on=("grad_weight",))
def groups_returned_by_group(right, first, second, bias, problem, options):
    """Wrong only for groups: returns an axis for them."""
    result = right(first, second, bias, problem, options)
    if problem.groups == 1:
        return result
    axis = 0 if problem.primitive == "grad_weight" else 1
    shape = result.shape
    return result.reshape(*shape[:axis], problem.groups, -1, *shape[axis + 1 :]) if result.size else result


@fault("random data", on=("forward",))
def groups_not_contiguous(right, first, second, bias, problem, options):
    """Wrong only for groups: returns the channels last in memory."""
    result = right(first, second, bias, problem, options)
    if problem.groups > 1:
        result = np.ascontiguousarray(result.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return result


@fault("random data", on=("grad_input",))
def cropped_gradient_is_a_view(right, dy, w, bias, problem, options):
    """Wrong only with padding: returns a part of the padded gradient."""
    (top, bottom), (before, after) = problem.padding
    result = right(dy, w, bias, problem, options)
    if not any((top, bottom, before, after)):
        return result
    padded = np.pad(result, ((0, 0), (0, 0), *problem.padding))
    return padded[..., top : top + result.shape[2], before : before + result.shape[3]]


@fault("unchanged operands", on=("grad_input",))
def depthwise_identity_returns_its_operand(right, first, w, bias, problem, options):
    """Wrong only where the result equals the first operand: returns that itself."""
    result = right(first, w, bias, problem, options)
    same = result.shape == first.shape and result.size and bool((result == first).all())
    return first if same and first.flags.c_contiguous else result


@fault("unchanged operands", on=("grad_input",))
def zeros_returned_from_one_buffer(right, first, second, bias, problem, options):
    """Wrong only for results that are zero: returns zeros broadcast from one element."""
    result = right(first, second, bias, problem, options)
    return np.broadcast_to(np.zeros((), result.dtype), result.shape) if not result.any() else result


@fault("random data", on=("grad_weight",))
def one_element_returned_as_a_scalar(right, first, second, bias, problem, options):
    """Wrong only for results of one element: returns a number."""
    result = right(first, second, bias, problem, options)
    return result.reshape(())[()] if result.size == 1 else result


@fault("random data", on=("forward",))
def integers_returned_as_int64(right, first, second, bias, problem, options):
    """Wrong only for int8: returns int64."""
    result = right(first, second, bias, problem, options)
    return result.astype(np.int64) if problem.dtype == "int8" else result


@fault("complex overflow", on=("grad_input",))
def real_result_of_complex(right, first, second, bias, problem, options):
    """Wrong only for complex results whose imaginary part is zero: returns real numbers."""
    result = right(first, second, bias, problem, options)
    return result.real.copy() if result.dtype.kind == "c" and not result.imag.any() else result


@fault("random data", on=("grad_input",))
def batch_moved_behind(right, first, second, bias, problem, options):
    """Wrong only for several images: they are last in memory."""
    result = right(first, second, bias, problem, options)
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(result, 0, -1)), -1, 0)


@fault("random data", on=("grad_input",))
def read_only_if_empty(right, first, second, bias, problem, options):
    """Wrong only for an empty batch: returns a constant that is read-only."""
    result = right(first, second, bias, problem, options)
    if problem.batch == 0:
        result.flags.writeable = False
    return result


@fault("random data", on=("grad_weight",))
def result_with_one_more_axis(right, first, second, bias, problem, options):
    """Wrong only for one-row kernels: returns the shape of a line."""
    result = right(first, second, bias, problem, options)
    return result[:, :, 0] if problem.kernel_size[0] == 1 == problem.input_size[0] else result


@fault("random data", on=("forward",))
def result_in_the_memory_of_its_operand(right, first, second, bias, problem, options):
    """Wrong only where result and first operand have one size: writes over that, and returns a view."""
    result = right(first, second, bias, problem, options)
    if result.size != first.size or not (first.flags.c_contiguous and first.flags.writeable):
        return result
    first.reshape(-1)[:] = result.reshape(-1)
    return first.reshape(result.shape)
