"""Computes groups of few output channels through tables of addresses, with vectors of pixels."""

from functools import partial

from ...algorithm import Algorithm
from ...correlation import Sizes
from ...launch import run_correlations
from ...layout.loaders import planes_code
from ...runtime.compile import sizes_of
from . import blocks, kernels

__all__ = ["correlation"]

correlation = Algorithm(
    "indirect",
    ("forward", "grad_input"),
    "groups of one to four output channels; vectors of pixels",
    blocks.make_plan,
    partial(run_correlations, kernels.correlate, sizes_of(Sizes), planes_code),
)
