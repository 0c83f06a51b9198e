"""Chooses the blocks of pixels in which the gradient of the weight is summed."""

from __future__ import annotations

import math

from convhub.backend import Problem

from .chains import chain, group
from .correlation import Correlation
from .planes import LONG_TILE_PIXELS, Planes, pixel_tile
from .reduction import Sizes
from .stage import Stage, Tile
from .tiling import ceil_div, even

__all__ = ["dot_rows", "reducing_stage", "summed_pixels"]

DOT_VECTORS = 256  # of pixels that each lane of a dot product adds one after another


def dot_rows(
    problem: Problem, part: Correlation, planes: Planes, tile: Tile, copied: int
) -> tuple[int, int, int]:
    """Return a tile's rows and columns of pixels for dot products, and how many rows to sum at once.

    Each lane adds its pixels one after another.
    """
    most = chain(summed_pixels(problem), DOT_VECTORS)
    tile_rows, tile_columns = pixel_tile(
        part.rows.count,
        part.columns.count,
        min(LONG_TILE_PIXELS, most * tile.lanes),
        planes,
        copied * tile.item,
    )
    return tile_rows, tile_columns, even(tile_rows, max(1, most // ceil_div(tile_columns, tile.lanes)))


def summed_pixels(problem: Problem) -> int:
    """Return how many products make up an element of the weight's gradient."""
    return problem.batch * math.prod(problem.output_size)


def reducing_stage(
    problem: Problem,
    part: Correlation,
    planes: Planes,
    tile: Tile,
    tasks: int,
    in_place: bool,
    tile_blocks: int,
    **blocks: int,
) -> Stage:
    """Return the stage of a weight's gradient; a tile of pixels is summed in `tile_blocks` blocks."""
    tiles = ceil_div(part.rows.count, blocks["tile_rows"]) * ceil_div(
        part.columns.count, blocks["tile_columns"]
    )
    sizes = Sizes(
        images=problem.batch,
        groups=part.groups,
        out_channels=part.out_channels,
        in_channels=part.source_channels,
        rows=part.rows.count,
        columns=part.columns.count,
        step_h=part.rows.source_step,
        step_w=part.columns.source_step,
        shift_h=planes.shift_h,
        shift_w=planes.shift_w,
        span_h=planes.span_h,
        span_w=planes.span_w,
        source_items=math.prod(problem.input_shape),
        group=group(problem.batch * tiles * tile_blocks, summed_pixels(problem)),
        **blocks,
    )
    items = sizes.pad_items + sizes.panel_items + sizes.left_items + 2 * sizes.sum_items
    integers = sizes.block_columns + 3 * sizes.block_pixels
    return Stage(sizes, planes.taps, planes.phases, tasks, items, integers, in_place)
