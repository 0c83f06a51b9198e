"""Computes a layer as products of matrices, whose panels are gathered pixels."""

from functools import partial

from ...algorithm import Algorithm
from ...correlation import Sizes as CorrelationSizes
from ...launch import run_correlations, run_reduction
from ...layout.loaders import planes_code
from ...reduction import Sizes as ReductionSizes
from ...runtime.compile import sizes_of
from . import blocks, blocks_weight, kernels, kernels_weight

__all__ = ["correlation", "weight_gradient"]

SUMMARY = "everything else: matrix products on panels of gathered pixels, or on 1x1 layers in place"

correlation = Algorithm(
    "gemm",
    ("forward", "grad_input"),
    SUMMARY,
    blocks.make_plan,
    partial(run_correlations, kernels.correlate, sizes_of(CorrelationSizes), planes_code),
    rewrite=blocks.as_pixels,
)

weight_gradient = Algorithm(
    "gemm",
    ("grad_weight",),
    SUMMARY,
    blocks_weight.make_plan,
    partial(run_reduction, kernels_weight.correlate, sizes_of(ReductionSizes), planes_code),
)
