"""Plans grad_weight as a matrix product over pixels, in parts added up in their order, for `grad_weight.cu`.

The parts depend only on the problem, not on the device, and neither do the bits.
"""

from __future__ import annotations

import itertools
import math

from convhub.backend import Problem

from .axes import result_and_source_channels
from .plan import BLOCKS_WANTED, LEAST_PART, MOST_BLOCKS, Launch, Plan, Settings
from .tiling import ceil_div, round_up
from .variants import INDICES, TILED_DTYPES, Source, best_tile, source, tiles_for

__all__ = ["SOURCES", "weight_plan"]

FILE = "grad_weight.cu"
ADDING_THREADS = 256
MOST_COLUMNS = 2**30  # the kernel's number of a column is an int


def weight_plan(problem: Problem, settings: Settings) -> Plan | None:
    """Return the plan of grad_weight, or None."""
    weights, pixels = math.prod(problem.result_shape), problem.batch * math.prod(problem.output_size)
    if problem.dtype not in TILED_DTYPES or not weights or not pixels:
        return None
    M, _ = result_and_source_channels(problem)
    columns = weights // problem.out_channels
    tile = best_tile(problem.dtype, M, columns)
    tiles = problem.groups * ceil_div(M, tile.m) * ceil_div(columns, tile.n)
    item = 8 if problem.dtype == "float64" else 4  # bytes; 16-bit types are summed in float32
    room = settings.workspace_limit // (item * weights)
    most_parts = max(1, min(pixels // LEAST_PART, BLOCKS_WANTED // tiles, room))
    part_pixels = max(tile.k, round_up(ceil_div(pixels, most_parts), tile.k))
    parts = ceil_div(pixels, part_pixels)
    workspace = parts * weights * item
    if tiles * parts > MOST_BLOCKS or columns >= MOST_COLUMNS or workspace > settings.workspace_limit:
        return None
    multiply = Launch(FILE, "grad_weight", tile.options, tiles * parts, tile.threads)
    blocks = ceil_div(weights, ADDING_THREADS)
    add = Launch(FILE, "add_parts", _adding_options(problem.dtype), blocks, ADDING_THREADS)
    return Plan((multiply, add), tile, parts, part_pixels, workspace)


def _adding_options(dtype: str) -> tuple[str, ...]:
    """Return the macros of `add_parts`, which has no tile: one is named since the file needs one."""
    return tiles_for(dtype)[-1].options


def _sources(dtype: str, index: str) -> tuple[Source, ...]:
    return (
        source(FILE, "add_parts", dtype, index, *_adding_options(dtype)),
        *(source(FILE, "grad_weight", dtype, index, *tile.options) for tile in tiles_for(dtype)),
    )


SOURCES = tuple(
    itertools.chain.from_iterable(itertools.starmap(_sources, itertools.product(TILED_DTYPES, INDICES)))
)
