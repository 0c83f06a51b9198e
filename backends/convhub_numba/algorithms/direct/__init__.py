"""Computes any layer by plain loops without scratch memory, where nothing faster suits or fits."""

from ...algorithm import Algorithm
from . import launch

__all__ = ["correlation", "weight_gradient"]

SUMMARY = (
    "no room for scratch memory within the workspace limit, or more than a thousand phases of a "
    "stride; plain loops"
)

correlation = Algorithm(
    "direct",
    ("forward", "grad_input"),
    SUMMARY,
    launch.make_plan,
    launch.run,
)

weight_gradient = Algorithm(
    "direct",
    ("grad_weight",),
    SUMMARY,
    launch.make_plan,
    launch.run_weight,
)
