"""Faults that only some sizes show: tails of tiles, thresholds, counters too narrow, empty batches."""

from __future__ import annotations

import numpy as np

from .faults import fault

NUMBERS = ("random data", "positive data", "exact integers")
#: Those that large problems have.
OF_LARGE = ("random data", "exact integers")


@fault(*NUMBERS)
def tail_of_vector_dropped(right, first, second, bias, problem, options):
    """Stores whole vectors of eight, and forgets what remains of a row."""
    result = right(first, second, bias, problem, options)
    columns = result.shape[3]
    if columns > 8:
        result[..., columns - columns % 8 :] = 0
    return result


@fault(*NUMBERS)
def tail_of_grid_dropped(right, first, second, bias, problem, options):
    """Wrong only if the result's size is no multiple of 128: the last, partial block is never launched."""
    result = right(first, second, bias, problem, options)
    result.reshape(-1)[result.size - result.size % 128 :] *= result.size < 128
    return result


@fault(*NUMBERS, on=("forward", "grad_input"))
def columns_past_256_dropped(right, first, second, bias, problem, options):
    """Wrong only for images wider than 256: one block of threads computes a row."""
    result = right(first, second, bias, problem, options)
    result[..., 256:] = 0
    return result


@fault(*OF_LARGE, on=("forward", "grad_input"))
def offsets_in_16_bits(right, first, second, bias, problem, options):
    """Wrong only above 65536 elements: offsets wrap around, and overwrite the beginning."""
    result = right(first, second, bias, problem, options)
    flat, size = result.reshape(-1), 2**16
    for start in range(size, flat.size, size):
        block = flat[start : start + size].copy()
        flat[: block.size] = block
        flat[start : start + size] = 0
    return result


@fault(*OF_LARGE)
def large_ones_wrong(right, first, second, bias, problem, options):
    """Wrong only above a million products: a block that two threads write is added twice."""
    result = right(first, second, bias, problem, options)
    if problem.macs > 10**6:
        result[-1, -1, -1, -1] *= 2
    return result


@fault(*NUMBERS, on=("forward", "grad_input"))
def images_past_32_dropped(right, first, second, bias, problem, options):
    """Wrong only for more than 32 images: processes them 32 at a time, and forgets the rest."""
    result = right(first, second, bias, problem, options)
    images = len(result)
    if images > 32:
        result[images - images % 32 :] = 0
    return result


@fault(*NUMBERS)
def channels_past_64_dropped(right, first, second, bias, problem, options):
    """Wrong only for more than 64 channels of the result: those beyond whole blocks of 16 are not stored."""
    result = right(first, second, bias, problem, options)
    axis = 0 if problem.primitive == "grad_weight" else 1
    channels = result.shape[axis]
    if channels > 64:
        np.moveaxis(result, axis, 0)[channels - channels % 16 :] = 0
    return result


@fault(*NUMBERS, on=("forward",))
def reduction_past_64_channels_dropped(right, x, w, bias, problem, options):
    """Wrong only for more than 64 input channels: the last, partial block of the sum is left out."""
    channels = w.shape[1]
    if channels > 64:
        w = w.copy()
        w[:, channels - channels % 16 :] = 0
    return right(x, w, bias, problem, options)


@fault(*NUMBERS, on=("grad_weight",))
def pixels_past_whole_blocks_dropped(right, dy, x, bias, problem, options):
    """Wrong only for more than 64 outputs: the sum over pixels goes by blocks of 32, and forgets the rest."""
    dy, pixels = dy.copy(), problem.output_size[0] * problem.output_size[1]
    if pixels > 64:
        dy.reshape(*dy.shape[:2], -1)[..., pixels - pixels % 32 :] = 0
    return right(dy, x, bias, problem, options)


@fault("random data", "public functions")
def empty_batch_refused(right, first, second, bias, problem, options):
    """Fails only for an empty batch: divides by the number of images."""
    _ = 1 // problem.batch
    return right(first, second, bias, problem, options)


@fault("random data", "torch tensors")
def multiplier_refused(right, first, second, bias, problem, options):
    """Fails only for depthwise layers with a multiplier: raises NotImplementedError."""
    if 1 < problem.groups == problem.in_channels < problem.out_channels:
        raise NotImplementedError("a multiplier")
    return right(first, second, bias, problem, options)


@fault(*NUMBERS)
def one_output_taken_for_a_dense_layer(right, first, second, bias, problem, options):
    """Wrong only for outputs of one pixel: assumes that the kernel covers the image from its first pixel."""
    if problem.output_size != (1, 1) or problem.input_size == problem.kernel_size:
        return right(first, second, bias, problem, options)
    return np.zeros_like(right(first, second, bias, problem, options))
