"""Plans groups with one source channel, and the weight gradients of small groups, for `depthwise.cu`."""

from __future__ import annotations

import itertools
import math

from convhub.backend import Problem

from .axes import nonempty_phases, result_and_source_channels
from .plan import MOST_BLOCKS, THREADS, Launch, Plan, Settings, launches_of_phases
from .tiling import ceil_div
from .variants import INDICES, TILED_DTYPES, Source, source

__all__ = ["CORRELATION_SOURCES", "WEIGHT_SOURCES", "correlation_plan", "weight_plan"]

FILE = "depthwise.cu"
FEW_WEIGHTS = 64  # of a group's kernels in one tap: too few for a matrix product


def correlation_plan(problem: Problem, _: Settings) -> Plan | None:
    """Return the plan of forward or grad_input for groups with one source channel, or None."""
    M, C = result_and_source_channels(problem)
    if problem.dtype not in TILED_DTYPES or C != 1:
        return None
    planes, phases = problem.batch * problem.groups * M, nonempty_phases(problem)
    blocks = [planes * ceil_div(rows.outputs * columns.outputs, THREADS) for rows, columns in phases]
    if max(blocks, default=0) > MOST_BLOCKS:
        return None
    return Plan(launches_of_phases(FILE, "depthwise_correlate", (), blocks, THREADS, phases))


def weight_plan(problem: Problem, _: Settings) -> Plan | None:
    """Return the plan of grad_weight for small groups, one block for each weight, or None."""
    weights, (M, C) = math.prod(problem.result_shape), result_and_source_channels(problem)
    small = C == 1 or M * C <= FEW_WEIGHTS
    if problem.dtype not in TILED_DTYPES or not small or not 0 < weights <= MOST_BLOCKS:
        return None
    return Plan((Launch(FILE, "depthwise_grad_weight", (), weights, THREADS),))


def _sources(name: str) -> tuple[Source, ...]:
    return tuple(
        source(FILE, name, dtype, index) for dtype, index in itertools.product(TILED_DTYPES, INDICES)
    )


CORRELATION_SOURCES = _sources("depthwise_correlate")
WEIGHT_SOURCES = _sources("depthwise_grad_weight")
