"""Chooses the sizes of tiles for grad_input with a stride, all phases of a row at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from convhub.backend import Problem

from ...algorithm import Machine
from ...chains import SHORT_CHAIN, block
from ...correlation import too_many_phases
from ...stage import Plan, Stage, Tile
from ...tiling import LARGE_TILE_BYTES, LEAST_TILE_ROWS, ceil_div, even, shares_well
from ...vectors.phase_microkernel import shared_columns
from .kernels import Sizes

__all__ = ["make_plan"]

STEPS = (2, 4)  # of columns, whose vectors can be interleaved
MOST_CHANNELS = 4  # of the input
TILE_COLUMNS = 64
TILE_ROWS = 32
SUM_REGISTERS = 24  # vectors in registers, of 32; half as many where a machine has 16


def make_plan(problem: Problem, machine: Machine, threads: int) -> Plan | None:
    """Return the plan of a grad_input problem, if it has a stride and few input channels."""
    tile = machine.tile
    C, step = problem.in_channels, problem.stride[1]
    if too_many_phases(problem) or problem.groups > 1 or C > MOST_CHANNELS or step not in STEPS:
        return None
    if problem.kernel_size[1] > SHORT_CHAIN * step:  # a row of the kernel is summed at once
        return None
    if 2 * problem.input_size[1] < step * tile.lanes:
        return None
    columns = problem.kernel_size[1], step, problem.padding[1][0] % step, problem.dilation[1]
    vectors = max(1, min(8, (SUM_REGISTERS if tile.wide else SUM_REGISTERS // 2) // (C * step)))
    tile = replace(tile, height=C, vectors=vectors, pattern=columns)
    return Plan("phases", tile, threads, (phases_stage(problem, tile, threads),))


def phases_stage(problem: Problem, tile: Tile, threads: int) -> Stage:
    """Return the blocks of `kernels.correlate`."""
    (top, _), (left, _) = problem.padding
    step_h, step_w = problem.stride
    R, S = problem.kernel_size
    K, (H, W) = problem.out_channels, problem.input_size
    least, columns = shared_columns(*tile.pattern)
    order = [tap for _, users in columns for tap in users]
    rows = sorted(
        (phase, r, (phase + top - r * problem.dilation[0]) // step_h)
        for r in range(R)
        for phase in range(step_h)
        if (phase + top - r * problem.dilation[0]) % step_h == 0
    )
    shift_h = min(row[2] for row in rows)
    span_h, span_w = max(row[2] for row in rows) - shift_h, columns[-1][0]
    A, B = ceil_div(H, step_h), ceil_div(W, step_w)

    def items(tile_rows: int) -> int:
        return K * (tile_rows + span_h) * (tile_columns + span_w) + tile.lanes

    def tasks() -> int:
        return problem.batch * ceil_div(A, tile_rows) * ceil_div(B, tile_columns)

    tile_columns = even(B, max(TILE_COLUMNS, tile.lanes), tile.lanes)
    tile_rows = min(A, TILE_ROWS)
    while tile_rows > LEAST_TILE_ROWS and items(tile_rows) * tile.item > LARGE_TILE_BYTES:
        tile_rows -= 1
    while tile_rows > LEAST_TILE_ROWS and not shares_well(tasks(), threads):
        tile_rows = ceil_div(tile_rows, 2)
    tile_rows = even(A, tile_rows)
    sizes = Sizes(
        images=problem.batch,
        out_channels=K,
        out_rows=H,
        out_columns=W,
        step_h=step_h,
        rows=A,
        columns=B,
        shift_h=shift_h,
        shift_w=least + left // step_w,
        span_h=span_h,
        span_w=span_w,
        tile_rows=tile_rows,
        tile_columns=tile_columns,
        block_rows=max(1, block(K * R * S // (step_h * step_w), SHORT_CHAIN) // ceil_div(S, step_w)),
        pad_items=items(tile_rows),
        packed_items=problem.in_channels * K * R * S,
        tile_items=tile.height * step_w * tile.width,
    )
    listed = tile_rows * ceil_div(tile_columns, tile.lanes) + tile.vectors
    return Stage(
        sizes,
        np.array(order, np.int64),
        np.array(rows, np.int64) - (0, 0, shift_h),
        tasks(),
        sizes.pad_items + sizes.packed_items + sizes.tile_items + step_w * tile.lanes,
        listed + K * len(rows),
        source_in_place=False,
    )
