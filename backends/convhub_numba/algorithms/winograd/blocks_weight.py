"""Chooses the blocks in which Winograd's algorithm computes the gradient of the weight."""

from __future__ import annotations

import math

from convhub.backend import Problem

from ...algorithm import Machine
from ...chains import group
from ...channel_tile import weight_channel_tile
from ...stage import NO_TABLE, Plan, Stage, Tile
from ...tiling import SUM_BYTES, ceil_div, even, round_up
from . import kernels_weight as winograd_weight
from .blocks import (
    BLOCK_BYTES,
    LARGE_WEIGHT_BYTES,
    PLAIN_COST,
    SOURCE_COST,
    AxisTiles,
    make_best_plan,
    may_run,
    tilings,
)

__all__ = ["best_weight_tiling", "make_plan"]

CHAIN_TILES = 64  # summed one after another
#: In vectors of multiply-adds: adding a block's sums to the total, and transforming this into kernels.
ADD_COST, KERNEL_COST, LARGE_KERNEL_COST = 6.0, 10.0, 24.0


def make_plan(problem: Problem, machine: Machine, threads: int) -> Plan | None:
    """Return the plan of a grad_weight problem, if it is likely the fastest, or is asked for."""
    if not may_run(problem, machine):
        return None
    tile = weight_channel_tile(problem.group_channels[1], machine.tile)
    best = best_weight_tiling(problem, tile)
    return make_best_plan(problem, machine, threads, tile, best, winograd_weight_stage)


def best_weight_tiling(problem: Problem, tile: Tile) -> tuple[float, tuple[AxisTiles, AxisTiles]] | None:
    """Return how many times faster than plain sums the best tiling is likely to be, and that tiling."""
    choices = tilings(problem)
    if not choices or not problem.batch:
        return None
    C, M = problem.group_channels
    vectors_in = ceil_div(C, tile.lanes)
    vectors_out = ceil_div(M, tile.width) * tile.vectors

    def cost(axes: tuple[AxisTiles, AxisTiles]) -> float:
        high, wide = axes
        points = high.scheme.points * wide.scheme.points
        tiles = problem.batch * high.work * wide.work  # times their points
        blocks = math.ceil(tiles / points / CHAIN_TILES)
        weights = points * C * vectors_out
        large = weights * tile.lanes * tile.item > LARGE_WEIGHT_BYTES
        kernels = LARGE_KERNEL_COST if large else KERNEL_COST
        transforms = tiles * SOURCE_COST * (vectors_in + vectors_out)
        return tiles * C * vectors_out + transforms + weights * (ADD_COST * blocks + kernels)

    best = min(choices, key=cost)
    return PLAIN_COST * problem.macs / problem.groups / tile.lanes / cost(best), best


def winograd_weight_stage(
    problem: Problem, axes: tuple[AxisTiles, AxisTiles], tile: Tile, threads: int
) -> Stage:
    """Return the blocks of `kernels_weight.correlate`; `tile` is a `weight_channel_tile`."""
    high, wide = axes
    C, M = problem.group_channels
    points = high.scheme.points * wide.scheme.points
    rows_of_products = round_up(C, tile.lanes)
    padded_out = round_up(M, tile.width)
    # The order of summation depends on the blocks of tiles: they must not depend on the threads.
    most = max(1, min(CHAIN_TILES, BLOCK_BYTES // (points * (C + M) * tile.item)))
    grouped = high.dilation * wide.dilation
    block_w = even(wide.tiles, most // grouped)
    block_h = even(high.tiles, most // (grouped * block_w)) if block_w == wide.tiles else 1
    block_images = 1
    if block_w == wide.tiles and block_h == high.tiles and problem.batch:
        block_images = even(problem.batch, most // (grouped * block_w * block_h))

    blocks = (
        ceil_div(problem.batch, block_images) * ceil_div(high.tiles, block_h) * ceil_div(wide.tiles, block_w)
    )
    at_once = group(blocks, problem.batch * math.prod(problem.output_size))
    panels = padded_out // tile.width
    block_panels = even(panels, SUM_BYTES // (points * rows_of_products * tile.width * tile.item))
    while threads > 1 and block_panels > 1 and problem.groups * ceil_div(panels, block_panels) < threads:
        block_panels = ceil_div(block_panels, 2)
    block_out = block_panels * tile.width
    rows = (block_h - 1) * high.source_group + high.scheme.sources * high.dilation
    columns = (block_w - 1) * wide.source_group + wide.scheme.sources * wide.dilation
    out_pixels = block_h * high.out_group * block_w * wide.out_group
    taps = math.prod(problem.kernel_size)
    tiles = block_images * block_h * block_w * grouped
    product_items = points * (rows_of_products * block_out + tile.lanes)
    sizes = winograd_weight.Sizes(
        images=problem.batch,
        groups=problem.groups,
        out_channels=M,
        in_channels=C,
        dilation_h=high.dilation,
        dilation_w=wide.dilation,
        tiles_h=high.tiles,
        tiles_w=wide.tiles,
        source_group_h=high.source_group,
        source_group_w=wide.source_group,
        out_group_h=high.out_group,
        out_group_w=wide.out_group,
        source_first_h=high.source_first,
        source_first_w=wide.source_first,
        sources_h=high.scheme.sources,
        sources_w=wide.scheme.sources,
        points_h=high.scheme.points,
        points_w=wide.scheme.points,
        block_images=block_images,
        block_h=block_h,
        block_w=block_w,
        block_out=block_out,
        tiles=max(tiles, tile.lanes),
        pixel_items=block_images * max(rows * columns, out_pixels) * tile.lanes,
        source_items=points * (tiles * rows_of_products + tile.lanes),
        gradient_items=points * (tiles * block_out + tile.lanes),
        product_items=product_items,
        group=at_once,
        total_items=0 if at_once >= blocks else product_items,
    )
    items = sizes.pixel_items + sizes.source_items + sizes.gradient_items + sizes.product_items
    items += sizes.total_items + taps * tile.lanes * tile.lanes
    integers = 2 * sizes.tiles + max(tile.lanes + max(rows * columns, out_pixels), taps * tile.lanes)
    tasks = problem.groups * ceil_div(M, block_out)
    return Stage(sizes, NO_TABLE, NO_TABLE, tasks, items, integers, False)
