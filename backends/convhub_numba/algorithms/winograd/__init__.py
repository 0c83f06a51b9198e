"""Computes small kernels of many channels by Winograd's minimal filtering, in tiles of a few outputs."""

from ...algorithm import Algorithm
from . import blocks, blocks_weight, launch

__all__ = ["correlation", "weight_gradient"]

SUMMARY = (
    "small kernels, dense or dilated, also with a stride (2 to 7 taps of a phase along an axis), of "
    "16 channels or more, where its errors keep the bound; vectors of channels"
)

correlation = Algorithm(
    "winograd",
    ("forward", "grad_input"),
    SUMMARY,
    blocks.make_plan,
    launch.run,
    accuracy="normwise",
    saving=3,
)

weight_gradient = Algorithm(
    "winograd",
    ("grad_weight",),
    SUMMARY,
    blocks_weight.make_plan,
    launch.run_weight,
    accuracy="normwise",
    saving=3,
)
