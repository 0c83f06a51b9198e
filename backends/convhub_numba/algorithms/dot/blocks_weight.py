"""Chooses the sizes of tiles for the weight gradient of groups with few channels."""

from __future__ import annotations

from dataclasses import replace

from convhub.backend import Problem

from ...algorithm import Machine
from ...correlation import correlations
from ...planes import planes_of
from ...reduction_blocks import dot_rows, reducing_stage
from ...stage import Plan, Stage, Tile
from ...tiling import ceil_div, round_up

__all__ = ["make_plan"]

MOST_CHANNELS = 8  # of dy, in a group


def make_plan(problem: Problem, machine: Machine, threads: int) -> Plan | None:
    """Return the plan of a grad_weight problem, if its groups have few channels."""
    C, M = problem.group_channels
    taps = problem.kernel_size[0] * problem.kernel_size[1]
    at_once = 9 if taps > 6 else 3  # one register each; as many as a 3 by 3 kernel has
    if C * M > 1 and (M > MOST_CHANNELS or 3 * (-taps % at_once) > taps):
        return None
    tile = replace(machine.tile, height=1, vectors=at_once)
    return Plan("dot", tile, threads, (dot_stage(problem, tile),))


def dot_stage(problem: Problem, tile: Tile) -> Stage:
    """Return the blocks of `kernels_weight.correlate`; `tile.vectors` is how many taps are summed at once."""
    (part,) = correlations(problem.replace(primitive="forward"))
    planes = planes_of(part, problem.dtype)
    M, C = part.out_channels, part.source_channels
    tile_rows, tile_columns, block_rows = dot_rows(problem, part, planes, tile, C)
    return reducing_stage(
        problem,
        part,
        planes,
        tile,
        part.groups,
        planes.inside,
        ceil_div(tile_rows, block_rows),
        tile_rows=tile_rows,
        tile_columns=tile_columns,
        block_pixels=block_rows,
        block_channels=M,
        block_columns=round_up(part.taps, tile.vectors),
        pad_items=C * planes.items(tile_rows, tile_columns) + tile.lanes,
        panel_items=0,
        left_items=tile_rows * tile_columns + tile.lanes,
        sum_items=max(M * C, 2) * round_up(part.taps, tile.vectors),
    )
