"""Computes the input gradient of strided layers, all phases of a row at once."""

from functools import partial

from ...algorithm import Algorithm
from ...launch import run_correlations
from ...layout.loaders import planes_code
from ...runtime.compile import sizes_of
from . import blocks, kernels

__all__ = ["correlation"]

correlation = Algorithm(
    "phases",
    ("grad_input",),
    "a stride of 2 or 4 along rows, and one to four input channels; all phases of a row at once",
    blocks.make_plan,
    partial(run_correlations, kernels.correlate, sizes_of(kernels.Sizes), planes_code),
)
