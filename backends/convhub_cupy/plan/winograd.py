"""Plans 3x3 taps of float32 with many channels by Winograd's algorithm, for `winograd.cu`."""

from __future__ import annotations

import math

from convhub.backend import Problem

from .axes import phases, result_and_source_channels
from .plan import MOST_BLOCKS, THREADS, Launch, Plan, Settings
from .tiling import ceil_div, round_up
from .variants import INDICES, Tile, source

__all__ = ["SOURCES", "correlation_plan"]

#: Of `winograd.cu`: 64 channels by 32 tiles of 2 by 2 pixels.
TILE = Tile(64, 128, 8, 8, 4)

#: By arithmetic; none of it was measured. Fewer channels do not fill the blocks of `winograd.cu`.
WINOGRAD_CHANNELS = 32
WINOGRAD_SAVING = 1.5  # this many times fewer multiply-adds, padding counted, pay for the transforms
#: The cost of writing and reading a pair of channels' transform, in multiply-adds: 32 floats, some 25 each
#: (an A100 does ten million million multiply-adds and moves 1.5 million million bytes a second).
WINOGRAD_WEIGHT_COST = 800


def correlation_plan(problem: Problem, settings: Settings) -> Plan | None:
    """Return the plan of forward or grad_input, or None where it cannot or may not run, or would gain little.

    16-bit types gain more from tensor cores, and float64 would take twice the registers that there are.
    """
    if settings.strict or settings.winograd == "never" or problem.dtype != "float32":
        return None
    if problem.kernel_size != (3, 3) or problem.stride != (1, 1) or problem.dilation != (1, 1):
        return None
    if not math.prod(problem.result_shape):
        return None
    M, C = result_and_source_channels(problem)
    ((rows, columns),) = phases(problem)
    if rows.tap_shift < 0:
        rows, columns = rows.reversed, columns.reversed
    tiles = problem.batch * ceil_div(rows.outputs, 2) * ceil_div(columns.outputs, 2)
    padded_m, padded_c = (
        round_up(M, TILE.m),
        round_up(C, TILE.k),
    )
    pairs = problem.groups * padded_m * padded_c
    tile_blocks = ceil_div(4 * tiles, TILE.n)
    blocks = problem.groups * padded_m // TILE.m * tile_blocks
    workspace = pairs * 16 * 4
    if workspace > settings.workspace_limit or max(blocks, pairs) > MOST_BLOCKS:
        return None
    if settings.winograd == "auto":
        work = pairs * (tile_blocks * TILE.n * 4 + WINOGRAD_WEIGHT_COST)
        plain = problem.groups * M * C * 9 * problem.batch * rows.outputs * columns.outputs
        if min(M, C) < WINOGRAD_CHANNELS or plain < WINOGRAD_SAVING * work:
            return None
    transform = Launch(
        "winograd_weight.cu", "winograd_weight", (), ceil_div(pairs, THREADS), THREADS, (rows, columns)
    )
    multiply = Launch("winograd.cu", "winograd", (), blocks, THREADS, (rows, columns))
    return Plan((transform, multiply), TILE, workspace_bytes=workspace)


SOURCES = tuple(
    source(f"{name}.cu", name, "float32", index)
    for name in ("winograd_weight", "winograd")
    for index in INDICES
)
