"""Chooses the sizes of tiles for layers with few input channels."""

from __future__ import annotations

from dataclasses import replace

from convhub.backend import Problem

from ...algorithm import Machine
from ...chains import SHORT_CHAIN
from ...correlation import Correlation, correlations
from ...planes import LONG_TILE_PIXELS, correlation_sizes, pixel_tile, planes_of
from ...reduction_blocks import dot_rows, reducing_stage
from ...stage import Plan, Stage, Tile
from ...tiling import LEAST_TILE_ROWS, ceil_div, even, round_up, shares_well

__all__ = ["make_plan", "make_weight_plan"]

MOST_CHANNELS = 4  # of the input
FEW_TERMS = 100  # for each output: gathering more of them into panels is cheap beside the products
CHAIN_PIXELS = 1024  # summed at once in the gradient of the weight, by each lane separately


def make_plan(problem: Problem, machine: Machine, threads: int) -> Plan | None:
    """Return the plan of a forward problem, if it has few terms to sum, and rows that fill their vectors."""
    tile = machine.tile
    if not _few_channels(problem) or problem.terms > FEW_TERMS or _filled(problem, tile) < 7 / 8:
        return None
    return Plan("stem", tile, threads, (stem_stage(problem, correlations(problem)[0], tile, threads),))


def make_weight_plan(problem: Problem, machine: Machine, threads: int) -> Plan | None:
    """Return the plan of a grad_weight problem, if its rows fill their vectors."""
    tile = machine.tile
    terms = problem.in_channels * problem.kernel_size[0] * problem.kernel_size[1]
    if not _few_channels(problem) or _filled(problem, tile) < (4 / 5 if terms <= FEW_TERMS else 7 / 8):
        return None
    tile = replace(tile, height=4, vectors=6) if tile.wide else replace(tile, height=2, vectors=4)
    return Plan("stem", tile, threads, (stem_dots_stage(problem, tile, threads),))


def _few_channels(problem: Problem) -> bool:
    return problem.groups == 1 and problem.in_channels <= MOST_CHANNELS < problem.out_channels


def _filled(problem: Problem, tile: Tile) -> float:
    """Return how much of its vectors a row of ``y`` fills; 0 if it is shorter than one."""
    columns = problem.output_size[1]
    return 0.0 if columns < tile.lanes else columns / round_up(columns, tile.lanes)


def stem_stage(problem: Problem, part: Correlation, tile: Tile, threads: int) -> Stage:
    """Return the blocks of `kernels.correlate`."""
    planes = planes_of(part, problem.dtype)
    A, B, C = part.rows.count, part.columns.count, part.source_channels
    copied = 0 if planes.inside else C * tile.item
    tile_rows, tile_columns = pixel_tile(A, B, LONG_TILE_PIXELS, planes, copied)

    def tasks() -> int:
        return problem.batch * ceil_div(A, tile_rows) * ceil_div(B, tile_columns)

    while tile_rows > LEAST_TILE_ROWS and not shares_well(tasks(), threads):
        tile_rows = ceil_div(tile_rows, 2)
    sizes = correlation_sizes(
        problem,
        part,
        planes,
        tile_images=1,
        tile_rows=tile_rows,
        tile_columns=tile_columns,
        tile_groups=1,
        tile_channels=part.out_channels,
        block_channels=even(part.terms, SHORT_CHAIN),
        block_taps=part.taps,
        pad_items=C * planes.items(tile_rows, tile_columns) + tile.lanes,
        panel_items=0,
        packed_items=part.out_channels * part.terms,
        held_panels=0,
    )
    listed = tile_rows * ceil_div(tile_columns, tile.lanes) + tile.vectors
    return Stage(
        sizes,
        planes.taps,
        planes.phases,
        tasks(),
        sizes.pad_items + sizes.packed_items + tile.height * tile.width,
        2 * listed + tile.vectors + part.terms,
        planes.inside,
    )


def stem_dots_stage(problem: Problem, tile: Tile, threads: int) -> Stage:
    """Return the blocks of `kernels_weight.correlate`; `tile.vectors` taps are summed at once."""
    (part,) = correlations(problem.replace(primitive="forward"))
    planes = planes_of(part, problem.dtype)
    M, half = part.out_channels, tile.vectors // 2
    tasks = min(ceil_div(M, tile.height), threads)  # each loads all of x
    block_channels = even(M, ceil_div(M, tasks), tile.height)
    # The order of summation depends on these: they must not depend on the threads.
    tile_rows, tile_columns, block_rows = dot_rows(problem, part, planes, tile, part.source_channels)
    block_rows = even(tile_rows, min(block_rows, max(1, CHAIN_PIXELS // tile_columns)))
    filled = round_up(part.terms, half)
    return reducing_stage(
        problem,
        part,
        planes,
        tile,
        ceil_div(M, block_channels),
        planes.inside,
        ceil_div(tile_rows, block_rows),
        tile_rows=tile_rows,
        tile_columns=tile_columns,
        block_pixels=block_rows,
        block_channels=block_channels,
        block_columns=filled,
        pad_items=part.source_channels * planes.items(tile_rows, tile_columns) + tile.lanes,
        panel_items=0,
        left_items=tile.height * tile_rows * tile_columns + tile.lanes,
        sum_items=block_channels * filled * tile.lanes,
    )
