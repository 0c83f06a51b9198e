"""Chooses the sizes of tiles for the weight gradient of small groups in vectors of channels."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from convhub.backend import Problem

from ...algorithm import Machine
from ...stage import Plan, Stage, Tile
from ...tiling import LARGE_TILE_BYTES, ceil_div
from .blocks import LATENCY_SUMS, MOST_TAP_ROWS, STEP_OVERHEAD, small_enough
from .depthwise_blocks_weight import (
    groups_of_taps,
    most_sums,
    pixel_blocks,
    weight_rows,
)
from .grouped_blocks import FEW_CHANNELS, MOST_CHANNELS
from .grouped_kernels_weight import Sizes

__all__ = ["make_plan"]


def make_plan(problem: Problem, machine: Machine, threads: int) -> Plan | None:
    """Return the plan of a grad_weight problem with small groups of output channels."""
    if problem.groups == 1 or not FEW_CHANNELS <= problem.group_channels[1] <= MOST_CHANNELS:
        return None
    tile = grouped_weight_tile(problem, machine.tile)
    return small_enough(Plan("grouped", tile, threads, (grouped_weight_stage(problem, tile),)))


def grouped_weight_tile(problem: Problem, tile: Tile) -> Tile:
    """Return how many rows of taps and how many channels to sum at once, and in vectors of what length."""
    C, M = problem.group_channels
    most, lanes = most_sums(tile), tile.lanes
    while lanes // 2 >= M:
        lanes //= 2

    def cost(choice: tuple[int, int]) -> float:
        height, channels = choice
        lengths = sum(high - low for _, low, high in groups_of_taps(problem, 0, height))
        return lengths * ceil_div(C, channels) * (max(height * channels, LATENCY_SUMS) + STEP_OVERHEAD)

    rows = range(1, min(problem.kernel_size[0], MOST_TAP_ROWS) + 1)
    channels = (1 << i for i in range(lanes.bit_length()))
    choices = itertools.product(rows, channels)
    best = min((choice for choice in choices if choice[0] * choice[1] <= most), key=cost)
    return replace(tile, height=best[0], vectors=best[1], lanes=lanes)


def grouped_weight_stage(problem: Problem, tile: Tile) -> Stage:
    """Return the blocks of `grouped_kernels_weight.correlate`.

    The order of summation depends on them, so they do not depend on the threads.
    """
    C, M = problem.group_channels
    row_groups, column_groups = groups_of_taps(problem, 0, tile.height), groups_of_taps(problem, 1, 1)
    rows = weight_rows(problem, row_groups, tile.height)
    planes, source_planes = ceil_div(M, tile.lanes), ceil_div(C, tile.lanes)
    tile_rows = rows.most_within(LARGE_TILE_BYTES // (tile.lanes * tile.item), source_planes, planes)
    columns = problem.output_size[1]
    tiles = planes * ceil_div(C, tile.vectors) * len(row_groups) * len(column_groups)
    sizes = Sizes(
        **rows.sizes(tile_rows),
        out_channels=M,
        in_channels=C,
        **pixel_blocks(problem, tile_rows),
        plane_items=rows.source_pixels(tile_rows) * tile.lanes,
        pad_items=source_planes * rows.source_pixels(tile_rows) * tile.lanes,
        left_plane=tile_rows * columns * tile.lanes,
        left_items=planes * tile_rows * columns * tile.lanes,
        sum_items=tiles * tile.height * tile.vectors * tile.lanes,
    )
    return Stage(
        sizes,
        np.array(row_groups, np.int64),
        np.array(column_groups, np.int64),
        problem.groups,
        sizes.pad_items + sizes.left_items + 2 * sizes.sum_items,
        rows.integers(tile_rows) + tile.lanes,
        source_in_place=False,
    )
