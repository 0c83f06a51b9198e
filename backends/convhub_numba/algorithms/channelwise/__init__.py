"""Computes depthwise layers, and those of small groups, with channels in the lanes of a vector."""

from functools import partial

from convhub.backend import Array

from ...algorithm import Algorithm
from ...launch import Prepared, run_correlations, run_reduction
from ...runtime.compile import sizes_of
from . import (
    depthwise_blocks,
    depthwise_blocks_weight,
    depthwise_kernels,
    depthwise_kernels_weight,
    grouped_blocks,
    grouped_blocks_weight,
    grouped_kernels,
    grouped_kernels_weight,
)

__all__ = [
    "depthwise_correlation",
    "depthwise_weight_gradient",
    "grouped_correlation",
    "grouped_weight_gradient",
]

DEPTHWISE = "depthwise layers with enough channels to fill a vector; vectors of channels"
GROUPED = "small groups, mostly of 4 to 16 channels; vectors of a group's channels"
DEPTHWISE_SIZES = sizes_of(depthwise_kernels.Sizes)


def _run_depthwise(prepared: Prepared, out: Array, source: Array, weight: Array, bias: Array) -> None:
    """Run the kernel with the weight's channels on the same axis as an image's."""
    channels_second = weight.swapaxes(0, 1)
    run_correlations(
        depthwise_kernels.correlate, DEPTHWISE_SIZES, None, prepared, out, source, channels_second, bias
    )


depthwise_correlation = Algorithm(
    "depthwise",
    ("forward", "grad_input"),
    DEPTHWISE,
    depthwise_blocks.make_plan,
    _run_depthwise,
)

depthwise_weight_gradient = Algorithm(
    "depthwise",
    ("grad_weight",),
    DEPTHWISE,
    depthwise_blocks_weight.make_plan,
    partial(
        run_reduction, depthwise_kernels_weight.correlate, sizes_of(depthwise_kernels_weight.Sizes), None
    ),
)

grouped_correlation = Algorithm(
    "grouped",
    ("forward", "grad_input"),
    GROUPED,
    grouped_blocks.make_plan,
    partial(run_correlations, grouped_kernels.correlate, sizes_of(grouped_kernels.Sizes), None),
)

grouped_weight_gradient = Algorithm(
    "grouped",
    ("grad_weight",),
    GROUPED,
    grouped_blocks_weight.make_plan,
    partial(run_reduction, grouped_kernels_weight.correlate, sizes_of(grouped_kernels_weight.Sizes), None),
)
