"""Faults that only deep layers and large batches show: blocks of channels and images that are not whole."""

from __future__ import annotations

import numpy as np

from .faults import fault


def _without(array, axis, start):
    """Return a copy that is zero from `start` on along an axis."""
    array = array.copy()
    np.moveaxis(array, axis, 0)[start:] = 0
    return array


def _channels(result, problem):
    """Return a view of the result whose first axis is that of its channels."""
    return np.moveaxis(result, 0 if problem.primitive == "grad_weight" else 1, 0)


@fault("long sums", on=("forward",))
def channels_past_512_not_summed(right, x, w, bias, problem, options):
    """Wrong only for more than 512 input channels in a group: a packed panel has room for 512."""
    return right(x, _without(w, 1, 512), bias, problem, options)


@fault("long sums", on=("grad_input",))
def outputs_past_512_not_summed(right, dy, w, bias, problem, options):
    """Wrong only for more than 512 output channels of a dense layer: a packed panel has room for 512."""
    if problem.groups == 1:
        w = _without(w, 0, 512)
    return right(dy, w, bias, problem, options)


@fault("any size", on=("grad_weight",))
def channels_past_1024_not_launched(right, first, second, bias, problem, options):
    """Wrong only for more than 1024 channels of the result: a block of threads has one for each."""
    result = right(first, second, bias, problem, options)
    _channels(result, problem)[1024:] = 0
    return result


@fault("nonfinite", on=("forward",))
def remainder_of_deep_sums_lost(right, x, w, bias, problem, options):
    """Wrong only for more than 256 input channels that are no multiple of 8: the rest is not added."""
    channels = w.shape[1]
    if channels > 256:
        w = _without(w, 1, channels - channels % 8)
    return right(x, w, bias, problem, options)


@fault("long sums", on=("forward",))
def deep_sums_begin_anew(right, x, w, bias, problem, options):
    """Wrong only for more than 384 input channels: the second block of channels overwrites the first."""
    if w.shape[1] > 384:
        w = w.copy()
        w[:, :384] = 0
    return right(x, w, bias, problem, options)


@fault("random data", on=("forward",))
def remainder_of_seventeen_read_twice(right, x, w, bias, problem, options):
    """Wrong only for 16·n + 1 input channels, n > 0: the last is added by the loop and after it."""
    if w.shape[1] > 16 and w.shape[1] % 16 == 1:
        w = w.copy()
        w[:, -1] *= 2
    return right(x, w, bias, problem, options)


@fault("random data")
def seventeenth_channel_is_the_first(right, first, second, bias, problem, options):
    """Wrong only for 16·n + 1 channels of the result, n > 0: the address of the last block is clamped."""
    result = right(first, second, bias, problem, options)
    channels = _channels(result, problem)
    if len(channels) > 16 and len(channels) % 16 == 1:
        channels[-1] = channels[0]
    return result


@fault("random data")
def fewer_channels_than_a_vector(right, first, second, bias, problem, options):
    """Wrong only for 5 to 7 channels of the result: a masked store has a mask for 4."""
    result = right(first, second, bias, problem, options)
    if 5 <= len(_channels(result, problem)) <= 7:
        _channels(result, problem)[4:] = 0
    return result


@fault("any size", on=("grad_input",))
def images_past_64_are_the_first(right, first, second, bias, problem, options):
    """Wrong only for more than 64 images: the index of the block of images is never advanced."""
    result = right(first, second, bias, problem, options)
    rest = result[64:128]
    rest[...] = result[: len(rest)].copy()
    return result


@fault("any size", on=("forward",))
def images_past_128_dropped(right, first, second, bias, problem, options):
    """Wrong only for more than 128 images: the grid's third dimension is cut."""
    result = right(first, second, bias, problem, options)
    result[128:] = 0
    return result


@fault("random data", on=("forward", "grad_input"))
def last_of_an_odd_batch_dropped(right, first, second, bias, problem, options):
    """Wrong only for odd batches of more than four images: processes images by pairs."""
    result = right(first, second, bias, problem, options)
    if problem.batch > 4 and problem.batch % 2:
        result[-1] = 0
    return result


@fault("random data", on=("grad_weight",))
def images_past_16_not_summed(right, dy, x, bias, problem, options):
    """Wrong only for more than 16 images: their partial sums have 16 places."""
    return right(_without(dy, 0, 16), x, bias, problem, options)


@fault("long sums", on=("grad_weight",))
def images_past_64_summed_twice(right, dy, x, bias, problem, options):
    """Wrong only for more than 64 images: the last, partial block is added by two threads."""
    if problem.batch > 64:
        dy = dy.copy()
        dy[problem.batch - problem.batch % 64 :] *= 2
    return right(dy, x, bias, problem, options)


@fault("nonfinite", on=("grad_input",))
def one_output_channel_of_a_batch(right, first, second, bias, problem, options):
    """Wrong only for one output channel and several images: the image's stride is taken for the channel's."""
    result = right(first, second, bias, problem, options)
    if problem.out_channels == 1 and problem.batch > 1:
        result[1:] = result[:1]
    return result


@fault("any size", on=("forward",))
def one_input_channel_of_a_batch(right, first, second, bias, problem, options):
    """Wrong only for one input channel and several images: an axis of length one is removed too early."""
    result = right(first, second, bias, problem, options)
    if problem.in_channels == 1 and problem.batch > 1:
        result[1:] = result[:1]
    return result


@fault("long sums", on=("grad_weight",))
def gradient_of_one_channel_and_a_batch(right, dy, x, bias, problem, options):
    """Wrong only for one output channel and several images: sums the first image only."""
    if problem.out_channels == 1 and problem.batch > 1:
        dy = _without(dy, 0, 1)
    return right(dy, x, bias, problem, options)


@fault("random data")
def many_groups_in_a_small_grid(right, first, second, bias, problem, options):
    """Wrong only for more than 32 groups: each warp has one, and those past 32 have none."""
    result = right(first, second, bias, problem, options)
    if problem.groups > 32:
        channels = _channels(result, problem)
        channels[len(channels) * 32 // problem.groups :] = 0
    return result


@fault("random data")
def groups_masked_instead_of_divided(right, first, second, bias, problem, options):
    """Wrong only for groups that are no power of two: the last has the result of the first."""
    result = right(first, second, bias, problem, options)
    if problem.groups & (problem.groups - 1):
        channels = _channels(result, problem)
        size = len(channels) // problem.groups
        channels[-size:] = channels[:size].copy()
    return result


@fault("random data", on=("forward", "grad_weight"))
def depthwise_tail_of_channels(right, first, second, bias, problem, options):
    """Wrong only for depthwise layers of more than 16 channels, no multiple of 8: the rest is not stored."""
    result = right(first, second, bias, problem, options)
    if 16 < problem.groups == problem.out_channels and problem.groups % 8:
        _channels(result, problem)[problem.groups - problem.groups % 8 :] = 0
    return result


@fault("random data")
def multiplier_of_three(right, first, second, bias, problem, options):
    """Wrong only for depthwise layers with an odd multiplier of 3 or more: the last of each has none."""
    result = right(first, second, bias, problem, options)
    multiplier = problem.out_channels // problem.groups
    if 1 < problem.groups == problem.in_channels and multiplier > 1 and multiplier % 2:
        channels = _channels(result, problem)
        channels[-1] = 0
    return result


@fault("random data", on=("grad_input",))
def multiplier_not_summed(right, dy, w, bias, problem, options):
    """Wrong only for depthwise layers with a multiplier: gradients of all but one output are left out."""
    multiplier = problem.out_channels // problem.groups
    if 1 < problem.groups == problem.in_channels and multiplier > 1:
        w = w.copy()
        w[np.arange(len(w)) % multiplier > 0] = 0
    return right(dy, w, bias, problem, options)


@fault("random data")
def groups_of_unequal_sides(right, first, second, bias, problem, options):
    """Wrong only for groups with more outputs than inputs, neither one: offsets use the inputs' number."""
    result = right(first, second, bias, problem, options)
    inputs, outputs = problem.in_channels // problem.groups, problem.out_channels // problem.groups
    if problem.groups > 1 and 1 < inputs < outputs:
        _channels(result, problem)[-1] = 0
    return result


@fault("mixed scales", on=("grad_weight",))
def full_kernel_of_groups_is_dense(right, first, second, bias, problem, options):
    """Wrong only for kernels as large as the image, in groups: groups are taken in reverse."""
    if problem.groups == 1 or problem.kernel_size != problem.input_size:
        return right(first, second, bias, problem, options)
    result = right(first, second, bias, problem, options)
    channels = _channels(result, problem)
    parts = np.split(channels.copy(), problem.groups)
    channels[...] = np.concatenate(parts[::-1])
    return result
