"""Chooses the sizes of panels of the weight gradient as matrix products on gathered pixels."""

from __future__ import annotations

from convhub.backend import Problem

from ...algorithm import Machine
from ...chains import chain
from ...correlation import correlations
from ...planes import TILE_PIXELS, pixel_tile, planes_of
from ...reduction_blocks import reducing_stage, summed_pixels
from ...stage import Plan, Stage, Tile
from ...tiling import PANEL_BYTES, ceil_div, even, shares_well

__all__ = ["make_plan"]


def make_plan(problem: Problem, machine: Machine, threads: int) -> Plan:
    """Return the plan of any grad_weight problem."""
    tile = machine.tile
    return Plan("gemm", tile, threads, (gemm_weight_stage(problem, tile, threads),))


def gemm_weight_stage(problem: Problem, tile: Tile, threads: int) -> Stage:
    """Return the blocks of `kernels_weight.correlate`."""
    (part,) = correlations(problem.replace(primitive="forward"))
    planes = planes_of(part, problem.dtype)
    M, columns = part.out_channels, part.terms
    block_columns = even(columns, 10 * tile.width, tile.width)
    block_channels = even(M, 128, tile.height)

    def tasks() -> int:
        return part.groups * ceil_div(M, block_channels) * ceil_div(columns, block_columns)

    while not shares_well(tasks(), threads):
        if block_columns > tile.width:
            block_columns = even(columns, block_columns - tile.width, tile.width)
        elif block_channels > 2 * tile.height:
            block_channels = even(M, ceil_div(block_channels, 2), tile.height)
        else:
            break
    channels = min(part.source_channels, (block_columns - 2) // part.taps + 2)
    # The order of summation depends on these two: they must not depend on the threads.
    tile_rows, tile_columns = pixel_tile(part.rows.count, part.columns.count, TILE_PIXELS, planes, tile.item)
    most = chain(summed_pixels(problem), PANEL_BYTES // (tile.width * tile.item))
    block_pixels = even(tile_rows * tile_columns, most)
    return reducing_stage(
        problem,
        part,
        planes,
        tile,
        tasks(),
        planes.inside,
        ceil_div(tile_rows * tile_columns, block_pixels),
        tile_rows=tile_rows,
        tile_columns=tile_columns,
        block_pixels=block_pixels,
        block_channels=block_channels,
        block_columns=block_columns,
        pad_items=channels * planes.items(tile_rows, tile_columns) + tile.lanes,
        panel_items=(block_pixels + tile.lanes) * tile.width,
        left_items=block_channels * block_pixels,
        sum_items=block_channels * block_columns,
    )
