"""Computes a layer as a product of matrices whose columns are gathered as they are needed."""

from ...algorithm import Algorithm
from . import blocks, blocks_weight, launch

__all__ = ["correlation", "weight_gradient"]

SUMMARY = "many channels, where Winograd's algorithm saves nothing or is not allowed; vectors of channels"

correlation = Algorithm(
    "implicit_gemm",
    ("forward", "grad_input"),
    SUMMARY,
    blocks.make_plan,
    launch.run,
)

weight_gradient = Algorithm(
    "implicit_gemm",
    ("grad_weight",),
    SUMMARY,
    blocks_weight.make_plan,
    launch.run_weight,
)
