"""Plans forward, and each phase of grad_input, as a matrix product, for `implicit_gemm.cu`."""

from __future__ import annotations

import itertools
import math

from convhub.backend import Problem

from .axes import nonempty_phases, result_and_source_channels
from .plan import MOST_BLOCKS, Plan, Settings, launches_of_phases
from .tiling import ceil_div
from .variants import INDICES, TILED_DTYPES, best_tile, source, tiles_for

__all__ = ["SOURCES", "correlation_plan"]

FILE, NAME = "implicit_gemm.cu", "implicit_gemm"
FEW_PAIRS = 4  # of a group's channels: with so few, a tile is mostly empty


def correlation_plan(problem: Problem, settings: Settings) -> Plan | None:
    """Return the plan of forward or grad_input, or None."""
    M, C = result_and_source_channels(problem)
    if problem.dtype not in TILED_DTYPES or M * C <= FEW_PAIRS:
        return None
    phases = nonempty_phases(problem)
    areas = [rows.outputs * columns.outputs for rows, columns in phases]
    tile = best_tile(problem.dtype, M, problem.batch * max(areas, default=0))
    channel_tiles = problem.groups * ceil_div(M, tile.m)
    blocks = [channel_tiles * ceil_div(problem.batch * area, tile.n) for area in areas]
    if max(blocks, default=0) > MOST_BLOCKS:
        return None
    taps_outer = C % tile.k == 0 or 4 * tile.k <= C
    options = (*tile.options, _order(taps_outer))
    # The weight is laid out so that threads read neighbours, unless that does not fit.
    weight = math.prod(problem.weight_shape) * problem.itemsize
    return Plan(
        launches_of_phases(FILE, NAME, options, blocks, tile.threads, phases),
        tile,
        workspace_bytes=weight if weight <= settings.workspace_limit else 0,
    )


def _order(taps_outer: bool) -> str:
    """Return the macro for the order of terms: by taps, then channels, or by channels, then taps."""
    return f"-DTAPS_OUTER={int(taps_outer)}"


SOURCES = tuple(
    source(FILE, NAME, dtype, index, *tile.options, _order(taps_outer))
    for dtype, index, taps_outer in itertools.product(TILED_DTYPES, INDICES, (False, True))
    for tile in tiles_for(dtype)
)
