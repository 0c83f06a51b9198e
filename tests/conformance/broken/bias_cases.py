"""Faults of the bias in some problems only."""

from __future__ import annotations

import numpy as np
from conformance.correct.widths import narrow, widen

from .faults import fault

ADDING = ("forward", "grad_input")


def _when(condition, change):
    """Return a fault that changes the bias where a problem meets a condition."""

    def run(right, first, second, bias, problem, options):
        if bias is not None and condition(problem):
            bias = change(bias)
        return right(first, second, bias, problem, options)

    return run


def _zero(bias):
    return np.zeros_like(bias)


@fault("positive data", on=("grad_input",))
def bias_lost_in_groups(right, first, second, bias, problem, options):
    """Wrong only for groups: their bias is not added."""
    return _when(lambda p: p.groups > 1, _zero)(right, first, second, bias, problem, options)


@fault("positive data", on=("forward", "grad_input"))
def bias_lost_for_one_image(right, first, second, bias, problem, options):
    """Wrong only for one image: its bias is not added."""
    return _when(lambda p: p.batch == 1, _zero)(right, first, second, bias, problem, options)


@fault("positive data", on=("grad_input",))
def bias_lost_in_depthwise(right, first, second, bias, problem, options):
    """Wrong only for depthwise layers: their bias is not added."""
    return _when(lambda p: 1 < p.groups == p.in_channels, _zero)(right, first, second, bias, problem, options)


@fault("positive data", on=("forward",))
def bias_twice_in_pointwise(right, first, second, bias, problem, options):
    """Wrong only for 1×1 kernels: the bias is added by the matrix product and after it."""
    return _when(lambda p: p.kernel_size == (1, 1), lambda b: b + b)(
        right, first, second, bias, problem, options
    )


@fault("positive data", on=("grad_input",))
def bias_twice_in_deep_sums(right, first, second, bias, problem, options):
    """Wrong only for more than 64 input channels: the bias is added by each block of channels."""
    return _when(lambda p: p.in_channels // p.groups > 64, lambda b: b + b)(
        right, first, second, bias, problem, options
    )


@fault("positive data", on=("forward",))
def bias_past_64_channels_lost(right, first, second, bias, problem, options):
    """Wrong only for more than 64 channels: the rest of the bias is not loaded."""

    def change(bias):
        bias = bias.copy()
        bias[64:] = 0
        return bias

    return _when(lambda p: True, change)(right, first, second, bias, problem, options)


@fault("positive data", on=("grad_input",))
def bias_lost_with_stride(right, first, second, bias, problem, options):
    """Wrong only for a stride: the bias is not added."""
    return _when(lambda p: max(p.stride) > 1, _zero)(right, first, second, bias, problem, options)


@fault("positive data", on=("forward", "grad_input"))
def bias_lost_with_dilation(right, first, second, bias, problem, options):
    """Wrong only for dilation: the bias is not added."""
    return _when(lambda p: max(p.dilation) > 1, _zero)(right, first, second, bias, problem, options)


@fault("positive data", on=("grad_input",))
def bias_lost_in_float16(right, first, second, bias, problem, options):
    """Wrong only for float16 and bfloat16: the bias is not added."""
    return _when(lambda p: p.dtype in ("float16", "bfloat16"), _zero)(
        right, first, second, bias, problem, options
    )


@fault("positive data", on=("forward",))
def bias_lost_in_complex128(right, first, second, bias, problem, options):
    """Wrong only for complex128: the bias is not added."""
    return _when(lambda p: p.dtype == "complex128", _zero)(right, first, second, bias, problem, options)


@fault("positive data", on=("grad_input",))
def bias_lost_in_int8(right, first, second, bias, problem, options):
    """Wrong only for int8 and uint8: the bias is not added."""
    return _when(lambda p: p.dtype in ("int8", "uint8"), _zero)(right, first, second, bias, problem, options)


@fault("positive data", on=("forward",))
def bias_of_one_channel_lost(right, first, second, bias, problem, options):
    """Wrong only for a bias of one element: it is taken for none."""
    if bias is not None and bias.size == 1:
        bias = None
    return right(first, second, bias, problem, options)


@fault("exact integers", on=("grad_input",))
def bias_of_positive_sum_only(right, first, second, bias, problem, options):
    """Wrong only for a bias whose sum is zero or less: it is taken for none."""
    if bias is not None and bias.dtype.kind == "f" and not bias.sum() > 0:
        bias = None
    return right(first, second, bias, problem, options)


@fault("positive data", on=("forward",))
def bias_along_the_columns(right, first, second, bias, problem, options):
    """Wrong only where the result has as many columns as channels: the bias is added along columns."""
    result = right(first, second, None, problem, options)
    if bias is None or bias.size != result.shape[3]:
        return right(first, second, bias, problem, options)
    return narrow(widen(result) + widen(bias), problem)


@fault("positive data", on=("grad_input",))
def bias_along_the_rows(right, first, second, bias, problem, options):
    """Wrong only where the result has as many rows as channels: the bias is added along rows."""
    result = right(first, second, None, problem, options)
    if bias is None or bias.size != result.shape[2]:
        return right(first, second, bias, problem, options)
    return narrow(widen(result) + widen(bias)[:, None], problem)


@fault("positive data", on=("forward",))
def bias_by_the_number_of_threads(right, first, second, bias, problem, options):
    """Wrong only for several threads: each adds the bias."""
    if bias is not None and options.threads > 1:
        bias = bias + bias
    return right(first, second, bias, problem, options)


@fault("positive data", on=("grad_input",))
def bias_not_on_the_border(right, first, second, bias, problem, options):
    """Wrong only with padding: the border of the result has no bias."""
    result = right(first, second, bias, problem, options)
    if bias is not None and problem.padding[0][0]:
        result[:, :, 0] = right(first, second, None, problem, options)[:, :, 0]
    return result


@fault("positive data", on=("forward",))
def bias_in_the_order_of_groups(right, first, second, bias, problem, options):
    """Wrong only for groups of several channels: the bias is read by channel, then group."""
    if bias is not None and 1 < problem.groups < bias.size:
        bias = bias.reshape(problem.groups, -1).T.reshape(-1)
    return right(first, second, bias, problem, options)


@fault("positive data", on=("grad_input",))
def bias_only_where_gradient_is(right, dy, w, bias, problem, options):
    """Wrong only for an empty sum: pixels whose gradient is zero have no bias."""
    result = right(dy, w, None, problem, options)
    if bias is None:
        return result
    return np.where(result == 0, result, right(dy, w, bias, problem, options))
