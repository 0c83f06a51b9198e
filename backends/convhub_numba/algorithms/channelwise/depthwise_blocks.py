"""Chooses the sizes of tiles for depthwise layers in vectors of channels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from convhub.backend import Problem

from ...algorithm import Machine
from ...chains import SHORT_CHAIN, block
from ...correlation import Axis, Correlation, correlations, too_many_phases
from ...stage import Plan, Stage, Tile
from ...tiling import LARGE_TILE_BYTES, LEAST_TILE_ROWS, ceil_div, shares_well
from .blocks import LATENCY_SUMS, is_depthwise, small_enough
from .depthwise_kernels import Part, Sizes

__all__ = ["make_plan", "margins", "most_source_rows", "parts_table"]

FEW_TAPS = 12  # up to this many, vectors of pixels may be faster
SIDE_BY_SIDE = (14, 12, 8, 7, 6, 4, 3, 2, 1)  # outputs, one register each


def make_plan(problem: Problem, machine: Machine, threads: int) -> Plan | None:
    """Return the plan of a depthwise forward or grad_input problem, with enough channels to fill a vector."""
    if too_many_phases(problem) or not is_depthwise(problem, machine.tile):
        return None
    parts = correlations(problem)
    if not parts or _suits_pixels(problem, parts, machine.tile):
        return None
    tile = replace(machine.tile, height=1, vectors=outputs_at_once(parts))
    return small_enough(Plan("depthwise", tile, threads, (depthwise_stage(problem, parts, tile, threads),)))


def _suits_pixels(problem: Problem, parts: tuple[Correlation, ...], tile: Tile) -> bool:
    """Say whether vectors of pixels are likely faster for a depthwise layer.

    Vectors of channels cost two transpositions, which pay off unless the taps are few, side by side, and the
    rows long.
    """
    axes = [axis for part in parts for axis in (part.rows, part.columns)]
    together = all(axis.step == axis.source_step == 1 for axis in axes)
    long = all(part.columns.count >= 2 * tile.lanes for part in parts)
    taps = problem.kernel_size[0] * problem.kernel_size[1]
    return together and long and taps <= FEW_TAPS


def covers_rows(parts: tuple[Correlation, ...]) -> bool:
    """Say whether a row's outputs, few enough to be summed at once, each meet all of the source's columns."""
    axis = parts[0].columns
    if len(parts) > 1 or axis.source_step > 1 or not 1 < axis.count <= max(SIDE_BY_SIDE):
        return False
    shifts = [shift for _, shift in axis.taps]
    together = max(shifts) - min(shifts) == len(shifts) - 1
    return together and min(shifts) <= 1 - axis.count and max(shifts) >= axis.source_size - 1


def _backwards(axis: Axis) -> Axis:
    """Return the axis with its taps in descending order of shifts."""
    return axis._replace(taps=tuple(sorted(axis.taps, key=lambda tap: -tap[1])))


def outputs_at_once(parts: tuple[Correlation, ...]) -> int:
    """Return how many outputs of a row to sum at once; every part has at least that many columns."""
    if covers_rows(parts):
        return parts[0].columns.count

    def cost(number: int) -> int:
        return sum(
            part.rows.count * ceil_div(part.columns.count, number) * max(number, LATENCY_SUMS)
            for part in parts
        )

    narrowest = max(1, min((part.columns.count for part in parts), default=1))
    return min((number for number in SIDE_BY_SIDE if number <= narrowest), key=cost)


def depthwise_stage(problem: Problem, parts: tuple[Correlation, ...], tile: Tile, threads: int) -> Stage:
    """Return the blocks of `depthwise_kernels.correlate`; some part has taps."""
    covers = covers_rows(parts)
    if covers:
        (part,) = parts
        parts = (part._replace(columns=_backwards(part.columns)),)
    rows, columns = parts[0].rows, parts[0].columns
    out_rows, out_columns = problem.result_shape[2:]
    left, phase_pitch = margins(parts)
    pitch = phase_pitch * columns.source_step
    tile_rows = max(1, out_rows)
    multiple = max(part.rows.step for part in parts)

    def items() -> int:
        return (most_source_rows(parts, out_rows, tile_rows) * pitch + tile_rows * out_columns) * tile.lanes

    def tasks() -> int:
        return ceil_div(problem.in_channels, tile.lanes) * problem.batch * ceil_div(out_rows, tile_rows)

    def halved() -> int:
        return ceil_div(tile_rows, 2 * multiple) * multiple

    while tile_rows > LEAST_TILE_ROWS * multiple and items() * tile.item > LARGE_TILE_BYTES:
        tile_rows = halved()
    while tile_rows > LEAST_TILE_ROWS * multiple and not shares_well(tasks(), threads):
        tile_rows = halved()

    table, offsets, weights = parts_table(parts, left, phase_pitch)
    if covers:
        shift = columns.taps[0][1]
        offsets = np.array([[shift - w] for w in range(columns.source_size)], np.int64)
    sizes = Sizes(
        images=problem.batch,
        channels=problem.in_channels,
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
        pad_items=most_source_rows(parts, out_rows, tile_rows) * pitch * tile.lanes,
        tile_items=tile_rows * out_columns * tile.lanes,
        block_terms=block(math.prod(problem.kernel_size), SHORT_CHAIN),
        covers=int(covers),
    )
    return Stage(
        sizes,
        offsets,
        table,
        tasks(),
        sizes.pad_items + sizes.tile_items + (weights + 1) * tile.lanes,
        sizes.most_pixels + math.prod(problem.kernel_size) + 2 * tile.lanes + len(offsets),
        source_in_place=False,
    )


def parts_table(
    parts: tuple[Correlation, ...], left: int, phase_pitch: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the parts as kernels take them, where in a row of pixels column taps begin, and their number."""
    step = parts[0].columns.source_step
    table: list[Any] = []
    offsets: list[Any] = []
    weights = 0
    for part in parts:
        row, column = _evenly(part.rows), _evenly(part.columns)
        table.append(Part(
            part.rows.first, part.rows.step, part.rows.count,
            part.columns.first, part.columns.step, part.columns.count,
            len(part.rows.taps), row[2], row[3], len(part.columns.taps), column[2], column[3],
            row[0], row[1], column[0], column[1], weights, len(offsets),
        ))  # fmt: skip
        for _, shift in part.columns.taps:
            offsets.append((left + shift) % step * phase_pitch + (left + shift) // step)
        weights += part.taps
    return np.array(table, np.int64), np.array(offsets, np.int64).reshape(-1, 1), weights


def margins(parts: tuple[Correlation, ...]) -> tuple[int, int]:
    """Return the zeros before each row of the source, and the length of one phase of its columns."""
    step, size = parts[0].columns.source_step, parts[0].columns.source_size
    low, high = 0, size - 1
    for part in parts:
        for _, shift in part.columns.taps:
            low = min(low, shift)
            high = max(high, (part.columns.count - 1) * step + shift)
    return -low, ceil_div(high + 1 - low, step)


def _evenly(axis: Axis) -> tuple[int, int, int, int]:
    """Return the first tap's kernel index, the step to the next, the first one's shift and its step."""
    if not axis.taps:
        return 0, 0, 0, 0
    (index, shift), *others = axis.taps
    return index, others[0][0] - index if others else 0, shift, others[0][1] - shift if others else 0


def most_source_rows(parts: tuple[Correlation, ...], out_rows: int, tile_rows: int) -> int:
    """Return how many rows of the source a tile of `tile_rows` rows of outputs reads at most."""
    most = 0
    for o0 in range(0, out_rows, tile_rows):
        o1 = min(out_rows, o0 + tile_rows)
        low, high = math.inf, -math.inf
        for axis in (part.rows for part in parts if part.rows.taps):
            a0 = max(0, ceil_div(o0 - axis.first, axis.step))
            a1 = min(axis.count, ceil_div(o1 - axis.first, axis.step))
            if a0 < a1:
                shifts = [shift for _, shift in axis.taps]
                low = min(low, a0 * axis.source_step + min(shifts))
                high = max(high, (a1 - 1) * axis.source_step + max(shifts) + 1)
        if low < high:
            size = parts[0].rows.source_size
            most = max(most, int(min(high, size) - max(low, 0)))
    return max(0, most)
