"""Computes layers of few input channels, such as the first of a network, with vectors of pixels."""

from functools import partial

from ...algorithm import Algorithm
from ...correlation import Sizes as CorrelationSizes
from ...launch import run_correlations, run_reduction
from ...layout.loaders import planes_code
from ...reduction import Sizes as ReductionSizes
from ...runtime.compile import sizes_of
from . import blocks, kernels, kernels_weight

__all__ = ["correlation", "weight_gradient"]

SUMMARY = "one to four input channels; vectors of pixels"

correlation = Algorithm(
    "stem",
    ("forward",),
    SUMMARY,
    blocks.make_plan,
    partial(run_correlations, kernels.correlate, sizes_of(CorrelationSizes), planes_code),
)

weight_gradient = Algorithm(
    "stem",
    ("grad_weight",),
    SUMMARY,
    blocks.make_weight_plan,
    partial(run_reduction, kernels_weight.correlate, sizes_of(ReductionSizes), planes_code),
)
