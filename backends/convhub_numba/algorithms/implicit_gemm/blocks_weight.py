"""Chooses the blocks in which the implicit matrix product computes the gradient of the weight."""

from __future__ import annotations

import math

from convhub.backend import Problem

from ...algorithm import Machine, fits_one_thread
from ...chains import chain, group
from ...channel_tile import fills, weight_channel_tile
from ...stage import NO_TABLE, Plan, Stage, Tile
from ...tiling import SUM_BYTES, ceil_div, even, round_up
from . import kernels_weight as implicit_weight

__all__ = ["make_plan"]

CHAIN_PIXELS = 320  # summed one after another
BLOCK_BYTES = 1024 * 1024  # of the source's pixels, in a block


def make_plan(problem: Problem, machine: Machine, threads: int) -> Plan | None:
    """Return the plan of a grad_weight problem, if vectors of channels suit it, and it fits."""
    C, M = problem.group_channels
    if min(M, C) < machine.tile.lanes or not all(problem.result_shape) or not problem.batch:
        return None
    tile = weight_channel_tile(M, machine.tile)
    if problem.kernel_size == (1, 1) and not fills(M, tile):
        return None

    def plan_for(count: int) -> Plan:
        return Plan("implicit_gemm", tile, count, (implicit_weight_stage(problem, tile, count),))

    return plan_for(threads) if fits_one_thread(plan_for(1), machine) else None


def implicit_weight_stage(problem: Problem, tile: Tile, threads: int) -> Stage:
    """Return the blocks of `kernels_weight.correlate`; `tile` is a `weight_channel_tile`."""
    C, M = problem.group_channels
    lanes, taps = tile.lanes, math.prod(problem.kernel_size)
    channels = round_up(C, lanes)
    reach = [(r - 1) * d + 1 for r, d in zip(problem.kernel_size, problem.dilation, strict=True)]
    P, Q = problem.output_size

    def source_pixels(rows: int, columns: int) -> int:
        high = (rows - 1) * problem.stride[0] + reach[0]
        return high * ((columns - 1) * problem.stride[1] + reach[1])

    # The order of summation depends on these blocks: they must not depend on the threads.
    most = chain(problem.batch * P * Q, CHAIN_PIXELS)
    block_columns = even(Q, most)
    block_rows = even(P, most // block_columns) if block_columns == Q else 1
    while block_rows > 1 and source_pixels(block_rows, block_columns) * channels * tile.item > BLOCK_BYTES:
        block_rows = even(P, block_rows // 2)
    block_images = 1
    if (block_rows, block_columns) == (P, Q) and problem.batch:
        fitting = BLOCK_BYTES // (source_pixels(P, Q) * channels * tile.item)
        block_images = even(problem.batch, min(most // (P * Q), fitting))

    blocks = ceil_div(problem.batch, block_images) * ceil_div(P, block_rows) * ceil_div(Q, block_columns)
    at_once = group(blocks, problem.batch * P * Q)
    panels = ceil_div(M, tile.width)
    block_panels = even(panels, SUM_BYTES // (taps * channels * tile.width * tile.item))
    while threads > 1 and block_panels > 1 and problem.groups * ceil_div(panels, block_panels) < threads:
        block_panels = ceil_div(block_panels, 2)
    block_out = block_panels * tile.width
    pixels = block_images * block_rows * block_columns
    region = source_pixels(block_rows, block_columns)
    sizes = implicit_weight.Sizes(
        images=problem.batch,
        groups=problem.groups,
        out_channels=M,
        in_channels=C,
        rows=P,
        columns=Q,
        taps_h=problem.kernel_size[0],
        taps_w=problem.kernel_size[1],
        stride_h=problem.stride[0],
        stride_w=problem.stride[1],
        dilation_h=problem.dilation[0],
        dilation_w=problem.dilation[1],
        top=problem.padding[0][0],
        left=problem.padding[1][0],
        block_images=block_images,
        block_rows=block_rows,
        block_columns=block_columns,
        block_out=block_out,
        pixel_items=block_images * region * channels,
        gradient_items=pixels * block_out,
        sum_items=taps * channels * block_out,
        group=at_once,
        total_items=0 if at_once >= blocks else taps * channels * block_out,
    )
    items = (
        sizes.pixel_items + sizes.gradient_items + sizes.sum_items + sizes.total_items + taps * lanes * lanes
    )
    integers = pixels + lanes + max(region, taps * lanes)
    tasks = problem.groups * ceil_div(M, block_out)
    return Stage(sizes, NO_TABLE, NO_TABLE, tasks, items, integers, False)
