"""Computes the weight's gradient of kernels of one tap as dot products of planes read in place."""

from functools import partial

from ...algorithm import Algorithm
from ...launch import run_reduction
from ...layout.loaders import planes_code
from ...reduction import Sizes
from ...runtime.compile import sizes_of
from . import blocks_weight, kernels_weight

__all__ = ["weight_gradient"]

weight_gradient = Algorithm(
    "pointwise",
    ("grad_weight",),
    "1x1 layers on images that are not small; dot products of planes in place",
    blocks_weight.make_plan,
    partial(run_reduction, kernels_weight.correlate, sizes_of(Sizes), planes_code),
)
