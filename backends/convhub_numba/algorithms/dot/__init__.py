"""Computes the weight's gradient of groups with few channels as dot products."""

from functools import partial

from ...algorithm import Algorithm
from ...launch import run_reduction
from ...reduction import Sizes
from ...runtime.compile import sizes_of
from . import blocks, kernels

__all__ = ["weight_gradient"]

weight_gradient = Algorithm(
    "dot",
    ("grad_weight",),
    "groups of few channels; dot products of planes",
    blocks.make_plan,
    partial(run_reduction, kernels.correlate, sizes_of(Sizes)),
)
