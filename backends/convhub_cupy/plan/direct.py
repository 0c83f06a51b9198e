"""Plans whatever no other kernel takes, for `direct.cu`: complex numbers, integers, sizes beyond a launch."""

from __future__ import annotations

import math

from convhub.backend import Problem

from .axes import nonempty_phases, result_and_source_channels
from .plan import THREADS, Launch, Plan, Settings, launches_of_phases
from .tiling import ceil_div
from .variants import DTYPES, Source, source

__all__ = ["CORRELATION_SOURCES", "WEIGHT_SOURCES", "correlation_plan", "weight_plan"]

FILE = "direct.cu"
MOST_BLOCKS = 2**16  # beyond it, each thread computes several elements


def correlation_plan(problem: Problem, _: Settings) -> Plan:
    """Return the plan of any forward or grad_input."""
    M, _C = result_and_source_channels(problem)
    planes, phases = problem.batch * problem.groups * M, nonempty_phases(problem)
    blocks = [
        min(MOST_BLOCKS, ceil_div(planes * rows.outputs * columns.outputs, THREADS))
        for rows, columns in phases
    ]
    return Plan(launches_of_phases(FILE, "direct_correlate", (), blocks, THREADS, phases))


def weight_plan(problem: Problem, _: Settings) -> Plan:
    """Return the plan of any grad_weight."""
    weights = math.prod(problem.result_shape)
    blocks = min(MOST_BLOCKS, ceil_div(weights, THREADS))
    return Plan((Launch(FILE, "direct_grad_weight", (), blocks, THREADS),) if weights else ())


def _sources(name: str) -> tuple[Source, ...]:
    """Return a variant for each type of elements; offsets always have 64 bits."""
    return tuple(source(FILE, name, dtype, "long long") for dtype in DTYPES)


CORRELATION_SOURCES = _sources("direct_correlate")
WEIGHT_SOURCES = _sources("direct_grad_weight")
