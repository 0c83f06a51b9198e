"""Says which layers and plans suit vectors of channels."""

from __future__ import annotations

from convhub.backend import Problem

from ...stage import Plan, Tile

__all__ = ["LATENCY_SUMS", "MOST_TAP_ROWS", "STEP_OVERHEAD", "is_depthwise", "small_enough"]

LATENCY_SUMS = 8  # this many sums at once hide a multiply-add's latency; fewer are no faster
STEP_OVERHEAD = 2  # of a step of a kernel's inner loop, a pixel or a term, in multiply-adds
MOST_TAP_ROWS = 5  # that the weight's gradient sums at once: each has a pointer
MOST_BYTES = 4 * 1024 * 1024  # of scratch: rows are taken whole, and may be too long for it


def is_depthwise(problem: Problem, tile: Tile) -> bool:
    """Say whether a layer is depthwise, with enough channels to fill a vector."""
    return problem.in_channels == problem.out_channels == problem.groups >= tile.lanes


def small_enough(plan: Plan) -> Plan | None:
    """Return the plan, or None if its rows are too long to be taken whole.

    This does not depend on the threads: tiles that threads make smaller are within it for one thread too.
    """
    (stage,) = plan.stages
    return plan if stage.items * plan.tile.item <= MOST_BYTES else None
