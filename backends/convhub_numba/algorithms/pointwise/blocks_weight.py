"""Chooses the sizes of tiles for the weight gradient of 1 by 1 kernels."""

from __future__ import annotations

from dataclasses import replace

from convhub.backend import Problem

from ...algorithm import Machine
from ...chains import chain
from ...correlation import correlations
from ...planes import planes_of
from ...reduction_blocks import reducing_stage, summed_pixels
from ...stage import Plan, Stage, Tile
from ...tiling import LARGE_TILE_BYTES, TASKS_PER_THREAD, ceil_div, even, round_up

__all__ = ["make_plan"]

BLOCK_VECTORS = 96  # of pixels, summed at once
LEAST_VECTORS = 32  # of an image: adding up the lanes of fewer costs more than transposing them
MOST_CHANNELS = 512  # of dy: each has a sum for each channel of x


def make_plan(problem: Problem, machine: Machine, threads: int) -> Plan | None:
    """Return the plan of a grad_weight problem, if its kernels have one tap and its images are not small."""
    tile = machine.tile
    if problem.kernel_size != (1, 1) or problem.groups > 1 or problem.out_channels > MOST_CHANNELS:
        return None
    pixels = problem.output_size[0] * problem.output_size[1]
    if problem.output_size[1] > BLOCK_VECTORS * tile.lanes or pixels < LEAST_VECTORS * tile.lanes:
        return None
    tile = replace(tile, height=4, vectors=6) if tile.wide else replace(tile, height=2, vectors=4)
    return Plan("pointwise", tile, threads, (pointwise_stage(problem, tile, threads),))


def pointwise_stage(problem: Problem, tile: Tile, threads: int) -> Stage:
    """Return the blocks of `kernels_weight.correlate`; a tile has `tile.vectors` channels of x."""
    (part,) = correlations(problem.replace(primitive="forward"))
    planes = planes_of(part, problem.dtype)
    M, C, columns = part.out_channels, part.source_channels, part.columns.count
    # The order of summation depends on this: it must not depend on the threads.
    most = chain(summed_pixels(problem), BLOCK_VECTORS)
    tile_rows = even(part.rows.count, max(1, most * tile.lanes // columns))
    most = max(tile.vectors, LARGE_TILE_BYTES // (tile_rows * columns * tile.item))
    if threads > 1:
        most = max(tile.vectors, min(most, C // (TASKS_PER_THREAD * threads)))
    block_columns = even(C, most, tile.vectors)
    padded = round_up(tile.height * tile.vectors, tile.lanes)
    return reducing_stage(
        problem,
        part,
        planes,
        tile,
        ceil_div(C, block_columns),
        # Whole planes are read in place, so each of their pixels must have an output.
        planes.inside and problem.output_size == problem.input_size,
        1,
        tile_rows=tile_rows,
        tile_columns=columns,
        block_pixels=0,
        block_channels=M,
        block_columns=block_columns,
        pad_items=block_columns * tile_rows * columns + tile.lanes,
        panel_items=0,
        left_items=tile.height * tile_rows * columns + tile.lanes,
        sum_items=ceil_div(M, tile.height) * (block_columns // tile.vectors) * padded,
    )
