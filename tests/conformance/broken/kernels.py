"""Faults of certain kernels: stems, many taps, even ones, 1×1 with a stride, depthwise with a stride."""

from __future__ import annotations

import numpy as np

from .faults import fault


def _without_taps(w, first):
    """Return a copy of a weight without the taps from `first` on, counted by rows."""
    w = w.copy()
    w.reshape(*w.shape[:2], -1)[..., first:] = 0
    return w


@fault("mixed scales", on=("grad_weight",))
def taps_past_64_dropped(right, first, second, bias, problem, options):
    """Wrong only for kernels of more than 64 taps: a mask has one bit for each."""
    if problem.primitive == "grad_weight":
        return _without_taps(right(first, second, bias, problem, options), 64)
    return right(first, _without_taps(second, 64), bias, problem, options)


@fault("random data")
def taps_past_32_wrap_around(right, first, second, bias, problem, options):
    """Wrong only for kernels of more than 32 taps: a shift by 32 is one by 0."""
    if problem.primitive != "grad_weight" and problem.kernel_size[0] * problem.kernel_size[1] > 32:
        second = second.copy()
        taps = second.reshape(*second.shape[:2], -1)
        taps[..., 32] = taps[..., 0]
        return right(first, second, bias, problem, options)
    result = right(first, second, bias, problem, options)
    if problem.primitive == "grad_weight":
        taps = result.reshape(*result.shape[:2], -1)
        taps[..., 32:33] = taps[..., :1] if taps.shape[2] > 32 else 0
    return result


@fault("random data")
def taps_past_16_of_a_row_dropped(right, first, second, bias, problem, options):
    """Wrong only for kernels wider than 16: a row of taps is one vector."""
    if problem.primitive == "grad_weight":
        result = right(first, second, bias, problem, options)
        result[..., 16:] = 0
        return result
    second = second.copy()
    second[..., 16:] = 0
    return right(first, second, bias, problem, options)


@fault("mixed scales", on=("grad_weight",))
def stem_padded_to_four_channels(right, first, second, bias, problem, options):
    """Wrong only for 7×7 kernels of three channels with a stride: the last column of taps is cut off."""
    if problem.in_channels != 3 or problem.kernel_size != (7, 7) or problem.stride == (1, 1):
        return right(first, second, bias, problem, options)
    if problem.primitive == "grad_weight":
        result = right(first, second, bias, problem, options)
        result[..., -1] = 0
        return result
    second = second.copy()
    second[..., -1] = 0
    return right(first, second, bias, problem, options)


@fault("random data")
def colours_reversed(right, first, second, bias, problem, options):
    """Wrong only for three input channels and a stride: the order is that of another image library."""
    if problem.in_channels != 3 or problem.groups != 1 or problem.stride == (1, 1):
        return right(first, second, bias, problem, options)
    return right(first, second[:, ::-1], bias, problem, options)


@fault("random data")
def strided_pointwise_on_odd_images(right, first, second, bias, problem, options):
    """Wrong only for 1×1 kernels with a stride on images of odd height: the last row is not read."""
    result = right(first, second, bias, problem, options)
    if problem.kernel_size == (1, 1) and problem.stride[0] > 1 and problem.input_size[0] % 2:
        if problem.primitive == "grad_weight":
            first = first.copy()
            first[:, :, -1] = 0
            return right(first, second, bias, problem, options)
        result[:, :, -1] = 0
    return result


@fault("positive data", on=("grad_input",))
def strided_pointwise_gradient_unscattered(right, dy, w, bias, problem, options):
    """Wrong only for 1×1 kernels with a stride: pixels between those that were read lack the bias."""
    result = right(dy, w, bias, problem, options)
    if problem.kernel_size == (1, 1) and problem.padding == ((0, 0), (0, 0)):
        kept = np.zeros_like(result)
        rows, columns = problem.stride
        kept[..., ::rows, ::columns] = result[..., ::rows, ::columns]
        return kept
    return result


@fault("nonfinite", on=("grad_input",))
def phases_of_a_transposed_4x4_swapped(right, dy, w, bias, problem, options):
    """Wrong only for 4×4 kernels with stride 2: even and odd columns of taps are exchanged."""
    if problem.kernel_size == (4, 4) and problem.stride == (2, 2):
        w = w[..., [1, 0, 3, 2]]
    return right(dy, w, bias, problem, options)


@fault("random data", on=("grad_input",))
def phases_uneven(right, dy, w, bias, problem, options):
    """Wrong only for kernels that are no multiple of their stride: shorter phases read one tap too many."""
    result = right(dy, w, bias, problem, options)
    taps, stride = problem.kernel_size[1], problem.stride[1]
    if taps > stride > 1 and taps % stride:
        result[..., 1::stride] *= 2
    return result


@fault("random data", on=("grad_input",))
def transposed_with_padding_off_by_one(right, dy, w, bias, problem, options):
    """Wrong only for stride 2 with padding: the first column of a transposed convolution is left out."""
    result = right(dy, w, bias, problem, options)
    if problem.stride[1] == 2 and problem.padding[1][0]:
        result[..., 0] = 0
    return result


@fault("random data", on=("forward", "grad_weight"))
def even_kernels_centred_on_the_left(right, first, second, bias, problem, options):
    """Wrong only for even kernels with padding: their centre is rounded to the other side."""
    result = right(first, second, bias, problem, options)
    if problem.kernel_size[1] % 2 == 0 and problem.padding[1][0]:
        result = np.ascontiguousarray(np.roll(result, 1, 3))
    return result


@fault("random data", on=("forward", "grad_input"))
def wide_kernels_on_narrow_images(right, first, second, bias, problem, options):
    """Wrong only for kernels larger than the unpadded image: the first column of the result is missing."""
    result = right(first, second, bias, problem, options)
    if problem.kernel_size[1] > problem.input_size[1]:
        result[..., 0] = 0
    return result


@fault("random data")
def padding_as_large_as_the_kernel(right, first, second, bias, problem, options):
    """Wrong only for padding of at least the kernel's size: windows of padding alone repeat the next one."""
    result = right(first, second, bias, problem, options)
    if problem.padding[0][0] >= problem.kernel_size[0] and result.shape[2] > 1:
        result[:, :, 0] = result[:, :, 1]
    return result


@fault("mixed scales", on=("grad_weight",))
def depthwise_with_stride_on_even_images(right, first, second, bias, problem, options):
    """Wrong only for depthwise 3×3 kernels with stride 2 on even images: the last column is wrong."""
    result = right(first, second, bias, problem, options)
    depthwise = 1 < problem.groups == problem.in_channels
    even = problem.input_size[1] % 2 == 0
    if depthwise and even and problem.kernel_size == (3, 3) and problem.stride == (2, 2):
        result[..., -1] = 0
    return result


@fault("any size", on=("grad_weight",))
def depthwise_5x5_misses_a_row(right, first, second, bias, problem, options):
    """Wrong only for depthwise 5×5 kernels: the unrolled code has four rows."""
    result = right(first, second, bias, problem, options)
    if 1 < problem.groups == problem.in_channels and problem.kernel_size == (5, 5):
        if problem.primitive == "grad_weight":
            result[:, :, 4] = 0
            return result
        second = second.copy()
        second[:, :, 4] = 0
        return right(first, second, bias, problem, options)
    return result


@fault("random data", on=("forward",))
def tile_of_transformed_3x3_cut(right, x, w, bias, problem, options):
    """Wrong only for dense 3×3 kernels and outputs of 4·n + 1 rows, n > 0: the last, partial tile is lost."""
    result = right(x, w, bias, problem, options)
    partial = result.shape[2] > 4 and result.shape[2] % 4 == 1
    if partial and problem.groups == 1 and problem.kernel_size == (3, 3) and problem.stride == (1, 1):
        result[:, :, -1] = 0
    return result


@fault("random data", on=("forward", "grad_input"))
def rows_of_a_separable_kernel_as_columns(right, first, w, bias, problem, options):
    """Wrong only for kernels of one column and several rows: their taps are reversed."""
    if problem.kernel_size[1] == 1 < problem.kernel_size[0]:
        w = w[:, :, ::-1]
    return right(first, w, bias, problem, options)


@fault("random data", on=("forward", "grad_input"))
def columns_of_a_separable_kernel_reversed(right, first, w, bias, problem, options):
    """Wrong only for kernels of one row and at least five columns: their taps are reversed."""
    if problem.kernel_size[0] == 1 and problem.kernel_size[1] >= 5:
        w = w[..., ::-1]
    return right(first, w, bias, problem, options)


@fault("any size", on=("forward",))
def kernel_2x2_read_as_3x3(right, x, w, bias, problem, options):
    """Wrong only for 2×2 kernels with stride 2: the last row of taps is not read."""
    if problem.kernel_size == (2, 2) and problem.stride == (2, 2):
        w = w.copy()
        w[:, :, 1] = 0
    return right(x, w, bias, problem, options)
