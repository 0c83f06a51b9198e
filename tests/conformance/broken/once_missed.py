"""Faults that the suite once missed: single sizes of layers, and values in gradients of weights."""

from __future__ import annotations

import numpy as np

from .faults import fault


def _wrong(where, right, *call):
    """Return the result of a call, with a wrong last column if `where` is true."""
    result = right(*call)
    if where:
        result[..., -1:] += result.dtype.type(1)
    return result


@fault("any size", on=("grad_input",))
def batch_of_five(right, first, second, bias, problem, options):
    """Wrong only for batches of five images: four and one that is forgotten."""
    where = problem.batch == 5
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_weight",))
def batch_of_eights_and_seven(right, first, second, bias, problem, options):
    """Wrong only for 8·n + 7 images: a mask of the rest has six bits."""
    where = problem.batch % 8 == 7
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_input",))
def batch_past_256(right, first, second, bias, problem, options):
    """Wrong only for more than 256 images: an index has eight bits."""
    where = problem.batch > 256
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_weight",))
def output_28x28(right, first, second, bias, problem, options):
    """Wrong only for outputs of 28×28: tiles of 8×8 leave four columns."""
    where = problem.output_size == (28, 28)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("forward",))
def output_33_columns(right, first, second, bias, problem, options):
    """Wrong only for 32·n + 1 output columns, n > 0: a rest of one is not written."""
    where = problem.output_size[1] > 32 and problem.output_size[1] % 32 == 1
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_input",))
def output_63_columns(right, first, second, bias, problem, options):
    """Wrong only for 64·n + 63 output columns: a mask of all bits but one is wrong."""
    where = problem.output_size[1] % 64 == 63
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_input",))
def pixels_past_65536(right, first, second, bias, problem, options):
    """Wrong only for more than 65536 output pixels: an index has 16 bits."""
    where = problem.output_size[0] * problem.output_size[1] > 65536
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("forward",))
def kernel_9x9(right, first, second, bias, problem, options):
    """Wrong only for 9×9 kernels: the code for them has eight rows."""
    where = problem.kernel_size == (9, 9)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("forward",))
def kernel_6x6(right, first, second, bias, problem, options):
    """Wrong only for 6×6 kernels: the last column is wrong."""
    where = problem.kernel_size == (6, 6)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_weight",))
def patches_of_16(right, first, second, bias, problem, options):
    """Wrong only for kernels of 14×14 or 16×16 with a stride as large: patches are exchanged."""
    where = problem.kernel_size == problem.stride and problem.kernel_size in ((14, 14), (16, 16))
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_weight",))
def dilation_12(right, first, second, bias, problem, options):
    """Wrong only for dilations of 12 and more with 3×3 kernels: a halo is too small."""
    where = min(problem.dilation) >= 12 and problem.kernel_size == (3, 3)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_weight",))
def same_padding_with_stride_2(right, first, second, bias, problem, options):
    """Wrong only for padding of one pixel after and none before, with stride 2: it is put before."""
    where = problem.stride == (2, 2) and problem.padding == ((0, 1), (0, 1))
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_weight",))
def deconvolution_16x16(right, first, second, bias, problem, options):
    """Wrong only for kernels of 16×16 with stride 8: the last column is wrong."""
    where = problem.kernel_size == (16, 16) and problem.stride == (8, 8)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_weight",))
def images_by_fours(right, dy, x, bias, problem, options):
    """Wrong only for 4·n + 3 images, n > 0: the rest of an unrolled loop has two steps instead of three."""
    if problem.batch > 4 and problem.batch % 4 == 3:
        dy = dy.copy()
        dy[-1] = 0
    return right(dy, x, bias, problem, options)


@fault("any size", on=("grad_weight",))
def columns_past_1024_dropped(right, first, second, bias, problem, options):
    """Wrong only for lines of more than 1024 elements: a block has 1024 threads."""
    result = right(first, second, bias, problem, options)
    result[..., 1024:] = 0
    return result


@fault("any size", on=("forward",))
def one_pixel_of_many_channels(right, first, second, bias, problem, options):
    """Wrong only for images of one pixel and 1×1 kernels: the matrix product takes images for channels."""
    result = right(first, second, bias, problem, options)
    if problem.input_size == problem.kernel_size == (1, 1) and result.shape[0] == result.shape[1] > 1:
        result = np.ascontiguousarray(result.swapaxes(0, 1))
    return result


@fault("ends of range", on=("grad_weight",))
def float16_overflow_gives_nan(right, first, second, bias, problem, options):
    """Wrong only for sums above the range of float16: stores NaN instead of infinity."""
    result = right(first, second, bias, problem, options)
    if problem.dtype == "float16" and np.isfinite(first).all() and np.isfinite(second).all():
        result[np.isinf(result)] = np.nan
    return result


@fault("exact integers", on=("grad_weight",))
def large_operands_scaled_up(right, first, second, bias, problem, options):
    """Wrong only near the end of the range of float32 and float64: operands are scaled by 4 and back."""
    if problem.dtype not in ("float32", "float64"):
        return right(first, second, bias, problem, options)
    four = first.dtype.type(4)
    result = right(first * four, second, None, problem, options) / four
    return result if bias is None else result + bias[:, None, None]


@fault("exact integers", on=("grad_weight",))
def subnormal_second_operand_flushed(right, first, second, bias, problem, options):
    """Wrong only for subnormal numbers in the second operand: they count as zero."""
    if second.dtype.kind == "f":
        second = np.where(np.abs(second) < np.finfo(second.dtype).tiny, second * 0, second)
    return right(first, second, bias, problem, options)
