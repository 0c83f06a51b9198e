"""Chooses the sizes of tiles for layers with small groups in vectors of channels."""

from __future__ import annotations

import math
from dataclasses import replace

from convhub.backend import Problem

from ...algorithm import Machine
from ...chains import block
from ...correlation import Correlation, correlations, too_many_phases
from ...stage import Plan, Stage, Tile
from ...tiling import LARGE_TILE_BYTES, LEAST_TILE_ROWS, ceil_div, shares_well
from .blocks import LATENCY_SUMS, STEP_OVERHEAD, small_enough
from .depthwise_blocks import margins, most_source_rows, parts_table
from .grouped_kernels import Sizes

__all__ = ["FEW_CHANNELS", "MOST_CHANNELS", "make_plan"]

OUTPUT_REGISTERS = {True: 28, False: 12}  # for sums of outputs, with 32 registers in all or with 16
SIDE_BY_SIDE = (28, 24, 14, 12, 8, 7, 6, 4, 3, 2, 1)  # outputs
FEW_CHANNELS = 4  # short vectors, which pay off only where vectors of pixels are cut up
MOST_CHANNELS = 16  # with more, other algorithms fill their vectors
CHAIN_TERMS = 256  # of all channels of a group and all taps, summed at once


def make_plan(problem: Problem, machine: Machine, threads: int) -> Plan | None:
    """Return the plan of a forward or grad_input problem with small groups."""
    if problem.groups == 1 or too_many_phases(problem):
        return None
    parts = correlations(problem)
    if not suits_groups(parts, machine.tile):
        return None
    tile = grouped_tile(parts, machine.tile)
    return small_enough(Plan("grouped", tile, threads, (grouped_stage(problem, parts, tile, threads),)))


def suits_groups(parts: tuple[Correlation, ...], tile: Tile) -> bool:
    """Say whether vectors of a group's output channels are likely the fastest."""
    if not parts:
        return False
    channels = parts[0].out_channels
    if channels > MOST_CHANNELS or ceil_div(channels, tile.lanes) > OUTPUT_REGISTERS[tile.wide]:
        return False
    if channels > FEW_CHANNELS:
        return True
    strided = any(axis.step > 1 for part in parts for axis in (part.rows, part.columns))
    return channels >= FEW_CHANNELS - 1 and strided


def grouped_tile(parts: tuple[Correlation, ...], tile: Tile) -> Tile:
    """Return how many vectors a group's output channels fill, and how many outputs of a row to sum at once.

    Vectors are shortened where a group has fewer channels; every part has at least that many columns.
    """
    channels, lanes = parts[0].out_channels, tile.lanes
    while lanes // 2 >= channels:
        lanes //= 2
    height = ceil_div(channels, lanes)
    narrowest = max(1, min(part.columns.count for part in parts))
    most = max(1, min(narrowest, OUTPUT_REGISTERS[tile.wide] // height))
    choices = (number for number in SIDE_BY_SIDE if number <= most)

    def cost(number: int) -> int:
        busy = max(number * height, LATENCY_SUMS) + STEP_OVERHEAD
        return sum(part.rows.count * ceil_div(part.columns.count, number) * busy for part in parts)

    return replace(tile, height=height, vectors=min(choices, key=cost), lanes=lanes)


def grouped_stage(problem: Problem, parts: tuple[Correlation, ...], tile: Tile, threads: int) -> Stage:
    """Return the blocks of `grouped_kernels.correlate`; some part has taps."""
    rows, columns = parts[0].rows, parts[0].columns
    M, C = parts[0].out_channels, parts[0].source_channels
    out_rows, out_columns = problem.result_shape[2:]
    left, phase_pitch = margins(parts)
    pitch = phase_pitch * columns.source_step
    width, blocks = tile.height * tile.lanes, ceil_div(C, tile.lanes)
    tile_rows = max(1, out_rows)
    multiple = max(part.rows.step for part in parts)

    def plane_items() -> int:
        return most_source_rows(parts, out_rows, tile_rows) * pitch * tile.lanes

    def items() -> int:
        return blocks * plane_items() + tile_rows * out_columns * width

    def tasks() -> int:
        return problem.groups * problem.batch * ceil_div(out_rows, tile_rows)

    def halved() -> int:
        return ceil_div(tile_rows, 2 * multiple) * multiple

    while tile_rows > LEAST_TILE_ROWS * multiple and items() * tile.item > LARGE_TILE_BYTES:
        tile_rows = halved()
    while tile_rows > LEAST_TILE_ROWS * multiple and not shares_well(tasks(), threads):
        tile_rows = halved()

    table, offsets, weights = parts_table(parts, left, phase_pitch)
    sizes = Sizes(
        images=problem.batch,
        groups=problem.groups,
        out_channels=M,
        source_channels=C,
        source_rows=rows.source_size,
        source_columns=columns.source_size,
        out_rows=out_rows,
        out_columns=out_columns,
        step_h=rows.source_step,
        step_w=columns.source_step,
        tile_rows=tile_rows,
        left=left,
        phase_pitch=phase_pitch,
        pitch=pitch,
        most_pixels=most_source_rows(parts, out_rows, tile_rows) * columns.source_size,
        weights=weights,
        plane_items=plane_items(),
        pad_items=blocks * plane_items(),
        tile_items=tile_rows * out_columns * width,
        packed_items=blocks * weights * tile.lanes * width,
        block_terms=block(C * math.prod(problem.kernel_size), CHAIN_TERMS),
    )
    return Stage(
        sizes,
        offsets,
        table,
        tasks(),
        sizes.pad_items + sizes.tile_items + sizes.packed_items + width,
        sizes.most_pixels + tile.lanes + len(offsets),
        source_in_place=False,
    )
