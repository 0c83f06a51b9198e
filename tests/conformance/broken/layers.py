"""Faults of layers as networks have them: deep, many images, large kernels, lines, padding on one side.

Small odd sizes show none of them.
"""

from __future__ import annotations

import numpy as np

from .faults import fault

#: Problems of these sizes have this check only.
ANY_SIZE = ("any size",)
BOTH = ("forward", "grad_input")


def _without(array, axis, start):
    """Return a copy with zeros from `start` on along an axis."""
    array = array.copy()
    np.moveaxis(array, axis, 0)[start:] = 0
    return array


def _per_group(problem):
    return problem.in_channels // problem.groups, problem.out_channels // problem.groups


@fault(*ANY_SIZE, on=("forward",))
def sum_over_512_channels_and_no_more(right, x, w, bias, problem, options):
    """Wrong only above 512 input channels of a group: the sum ends there."""
    return right(x, _without(w, 1, 512), bias, problem, options)


@fault(*ANY_SIZE, on=("grad_input",))
def sum_over_512_output_channels_and_no_more(right, dy, w, bias, problem, options):
    """Wrong only above 512 output channels of a dense layer: the sum ends there."""
    if problem.groups == 1:
        w = _without(w, 0, 512)
    return right(dy, w, bias, problem, options)


@fault(*ANY_SIZE)
def channel_1024_wraps_around(right, first, second, bias, problem, options):
    """Wrong only above 1024 channels of the result: counts them in ten bits."""
    result = right(first, second, bias, problem, options)
    channels = np.moveaxis(result, 0 if problem.primitive == "grad_weight" else 1, 0)
    channels[1024:] = channels[: max(0, len(channels) - 1024)]
    return result


@fault(*ANY_SIZE, on=("grad_weight",))
def images_past_64_left_out_of_the_sum(right, dy, x, bias, problem, options):
    """Wrong only for more than 64 images: the second block of them is not added."""
    return right(_without(dy, 0, 64), x, bias, problem, options)


@fault(*ANY_SIZE, on=BOTH)
def images_counted_in_seven_bits(right, first, second, bias, problem, options):
    """Wrong only for more than 128 images: the last ones are those of the first block."""
    result = right(first, second, bias, problem, options)
    result[128:] = result[: max(0, len(result) - 128)]
    return result


@fault(*ANY_SIZE, on=BOTH)
def fast_path_of_16_channels_has_no_tail(right, first, second, bias, problem, options):
    """Wrong only where both sides have whole vectors of 16 channels: of odd pixels the last is lost."""
    result = right(first, second, bias, problem, options)
    pixels = result.shape[2] * result.shape[3]
    if all(channels % 16 == 0 for channels in _per_group(problem)) and pixels % 2:
        result[..., -1, -1] = 0
    return result


@fault(*ANY_SIZE)
def fast_path_of_8_channels_mixes_groups(right, first, second, bias, problem, options):
    """Wrong only for groups of 8, 16, 24, ... channels: the last two groups are computed as one another."""
    result = right(first, second, bias, problem, options)
    if problem.groups > 1 and all(channels % 8 == 0 for channels in _per_group(problem)):
        channels = np.moveaxis(result, 0 if problem.primitive == "grad_weight" else 1, 0)
        size = len(channels) // problem.groups
        channels[-2 * size :] = np.roll(channels[-2 * size :], size, axis=0)
    return result


@fault(*ANY_SIZE, on=BOTH)
def taps_past_64_left_out(right, first, second, bias, problem, options):
    """Wrong only for kernels of more than 64 taps: a mask of 64 bits says which count."""
    if problem.kernel_size[0] * problem.kernel_size[1] > 64:
        second = second.copy()
        second.reshape(*second.shape[:2], -1)[..., 64:] = 0
    return right(first, second, bias, problem, options)


@fault(*ANY_SIZE)
def stem_without_its_last_column(right, first, second, bias, problem, options):
    """Wrong only for kernels of 7x7 with a stride: the padded kernel of 8 columns lacks the seventh."""
    if problem.kernel_size != (7, 7) or problem.stride == (1, 1):
        return right(first, second, bias, problem, options)
    if problem.primitive == "grad_weight":
        result = right(first, second, bias, problem, options)
        result[..., -1] = 0
        return result
    return right(first, _without(second, 3, 6), bias, problem, options)


@fault(*ANY_SIZE, on=BOTH)
def line_ends_at_1024(right, first, second, bias, problem, options):
    """Wrong only for one row of more than 1024 pixels: what lies beyond a block is not computed."""
    result = right(first, second, bias, problem, options)
    if problem.output_size[0] == 1 and result.shape[3] > 1024:
        result[..., 1024:] = 0
    return result


@fault(*ANY_SIZE, on=BOTH)
def column_of_pixels_taken_for_a_row(right, first, second, bias, problem, options):
    """Wrong only for one column of many pixels: every second pixel is that of its neighbour."""
    result = right(first, second, bias, problem, options)
    if result.shape[3] == 1 and result.shape[2] > 512:
        result[:, :, 1::2] = result[:, :, ::2][:, :, : result.shape[2] // 2]
    return result


@fault(*ANY_SIZE, on=("forward",))
def pointwise_stride_rounds_the_image_down(right, x, w, bias, problem, options):
    """Wrong only for 1x1 with a stride on odd images: the last pixel is not read."""
    if problem.kernel_size == (1, 1) and problem.stride != (1, 1):
        height, width = problem.input_size
        x = _without(x, 2, height - height % 2)
        x = _without(x, 3, width - width % 2)
    return right(x, w, bias, problem, options)


@fault(*ANY_SIZE, on=("grad_input",))
def transposed_4x4_overlaps_are_overwritten(right, dy, w, bias, problem, options):
    """Wrong only for 4x4 with stride 2: of overlapping windows the last one counts."""
    if problem.kernel_size != (4, 4) or problem.stride != (2, 2):
        return right(dy, w, bias, problem, options)
    return right(dy, _without(w, 2, 2), bias, problem, options)


@fault(*ANY_SIZE)
def kernel_of_the_image_ignores_groups(right, first, second, bias, problem, options):
    """Wrong only for kernels as large as the image, in groups: all have the first group's."""
    result = right(first, second, bias, problem, options)
    if problem.groups > 1 and problem.kernel_size == problem.input_size:
        channels = np.moveaxis(result, 0 if problem.primitive == "grad_weight" else 1, 0)
        size = len(channels) // problem.groups
        channels[size:] = np.tile(channels[:size], (problem.groups - 1, *[1] * (result.ndim - 1)))
    return result


@fault(*ANY_SIZE, on=("forward",))
def one_output_channel_is_squeezed(right, x, w, bias, problem, options):
    """Wrong only for one output channel and several images: they all get the result of the first."""
    result = right(x, w, bias, problem, options)
    if problem.out_channels == 1:
        result[1:] = result[:1]
    return result


@fault(*ANY_SIZE)
def stride_and_dilation_change_axes(right, first, second, bias, problem, options):
    """Wrong only if one axis has a stride and the other a dilation: dilates the one that has the stride."""
    result = right(first, second, bias, problem, options)
    strides, dilations = problem.stride, problem.dilation
    if (strides[0] > 1 and dilations[1] > 1) and (strides[1] == 1 and dilations[0] == 1):
        result[..., -1, :] = 0
    return result


def _padded_at_the_other_side(side, axis):
    def function(right, first, second, bias, problem, options):
        padding = problem.padding
        before, after = padding[axis]
        one_sided = (before, after)[side] and not (before, after)[1 - side]
        if problem.kernel_size[axis] % 2 or not one_sided:
            return right(first, second, bias, problem, options)
        swapped = tuple((after, before) if i == axis else padding[i] for i in (0, 1))
        changed = problem.replace(padding=swapped, output_size=problem.output_size)
        return right(first, second, bias, changed, options)

    return function


for _side, _axis, _name in ((0, 0, "top"), (1, 0, "bottom"), (0, 1, "left"), (1, 1, "right")):
    _function = _padded_at_the_other_side(_side, _axis)
    _function.__name__ = f"even_kernel_padded_opposite_the_{_name}"
    _function.__doc__ = f"Wrong only for even kernels padded at the {_name} alone: pads the other side."
    fault(*ANY_SIZE)(_function)


@fault(*ANY_SIZE)
def batch_and_channels_in_one_counter_of_16_bits(right, first, second, bias, problem, options):
    """Wrong only for more than 65536 products of images and channels: the counter of both wraps around."""
    result = right(first, second, bias, problem, options)
    flat = result.reshape(-1, *result.shape[2:])
    flat[2**16 :] = flat[: max(0, len(flat) - 2**16)]
    return result


@fault(*ANY_SIZE, on=BOTH)
def tile_past_256_terms_starts_anew(right, first, second, bias, problem, options):
    """Wrong only if a few terms are left after whole tiles of 256: the last tile replaces the sum."""
    channels = problem.in_channels if problem.primitive == "forward" else problem.out_channels
    if problem.groups > 1 or not 0 < channels % 256 <= 16 or channels < 256:
        return right(first, second, bias, problem, options)
    second, start = second.copy(), channels - channels % 256
    np.moveaxis(second, 1 if problem.primitive == "forward" else 0, 0)[:start] = 0
    return right(first, second, bias, problem, options)
