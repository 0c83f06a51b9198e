"""Computes the weight's gradient of groups with few channels as dot products."""

from functools import partial

from ...algorithm import Algorithm
from ...launch import run_reduction
from ...layout.loaders import planes_code
from ...reduction import Sizes
from ...runtime.compile import sizes_of
from . import blocks_weight, kernels_weight

__all__ = ["weight_gradient"]

weight_gradient = Algorithm(
    "dot",
    ("grad_weight",),
    "groups of few channels; dot products of planes",
    blocks_weight.make_plan,
    partial(run_reduction, kernels_weight.correlate, sizes_of(Sizes), planes_code),
)
