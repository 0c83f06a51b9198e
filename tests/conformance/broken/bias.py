"""Faults of the bias: added twice, to some images only, in the wrong type, or read with a wrong stride."""

from __future__ import annotations

import numpy as np
from conformance.correct.widths import narrow, widen

from .faults import fault

#: The primitives that have one, and the checks that give one.
ON = ("forward", "grad_input")
NUMBERS = ("positive data", "exact integers", "any layout")


@fault(*NUMBERS, on=ON)
def bias_twice(right, first, second, bias, problem, options):
    """Adds the bias twice."""
    return right(first, second, None if bias is None else bias + bias, problem, options)


@fault(*NUMBERS, "public functions", on=ON)
def bias_for_the_first_image(right, first, second, bias, problem, options):
    """Adds the bias to the first image only."""
    result = right(first, second, None, problem, options)
    if bias is not None:
        result[:1] = right(first[:1], second, bias, problem.replace(batch=len(first[:1])), options)
    return result


@fault(*NUMBERS, "agrees with torch", on=ON)
def bias_lost(right, first, second, bias, problem, options):
    """Adds no bias."""
    return right(first, second, None, problem, options)


@fault(*NUMBERS, on=ON)
def bias_of_the_next_channel(right, first, second, bias, problem, options):
    """Adds to each channel the bias of the next."""
    return right(first, second, None if bias is None else np.roll(bias, -1), problem, options)


@fault(*NUMBERS, on=ON)
def bias_of_the_first_group(right, first, second, bias, problem, options):
    """Adds the first group's bias to every group."""
    if bias is not None:
        bias = np.tile(bias[: len(bias) // problem.groups], problem.groups)
    return right(first, second, bias, problem, options)


@fault("positive data", on=ON)
def bias_in_float16(right, first, second, bias, problem, options):
    """Rounds the bias to float16, as mixed precision stores it."""
    if bias is not None and bias.dtype.kind in "fc":
        real, imaginary = bias.real.astype(np.float16), bias.imag.astype(np.float16)
        bias = (real + 1j * imaginary if bias.dtype.kind == "c" else real).astype(bias.dtype)
    return right(first, second, bias, problem, options)


@fault("positive data", on=ON)
def bias_added_after_rounding(right, first, second, bias, problem, options):
    """Wrong only for 16-bit floats: rounds the sum, adds the bias, and rounds again."""
    result = right(first, second, None, problem, options)
    if bias is None:
        return result
    return narrow(widen(result) + widen(bias)[:, None, None], problem)


@fault("any layout", on=ON)
def bias_read_as_contiguous(right, first, second, bias, problem, options):
    """Reads the bias from its first element on, whatever its stride."""
    if bias is not None and bias.size:
        step = bias.strides[0] // bias.itemsize
        bias = np.lib.stride_tricks.as_strided(bias[::-1] if step < 0 else bias, strides=(bias.itemsize,))
    return right(first, second, bias, problem, options)
