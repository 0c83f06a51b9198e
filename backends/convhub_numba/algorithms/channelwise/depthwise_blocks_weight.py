"""Chooses the sizes of tiles for the weight gradient of depthwise layers in vectors of channels."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from convhub.backend import Problem

from ...algorithm import Machine
from ...chains import chain, group
from ...stage import Plan, Stage, Tile
from ...tiling import LARGE_TILE_BYTES, ceil_div, even
from .blocks import LATENCY_SUMS, MOST_TAP_ROWS, STEP_OVERHEAD, is_depthwise, small_enough
from .depthwise_kernels_weight import Sizes

__all__ = [
    "Rows",
    "groups_of_taps",
    "make_plan",
    "most_sums",
    "pixel_blocks",
    "weight_rows",
]  # fmt: skip

CHAIN_PIXELS = 256  # summed at once, so that rounding errors stay small
TAP_REGISTERS = {True: 27, False: 12}  # for sums of taps, with 32 registers in all or with 16


def make_plan(problem: Problem, machine: Machine, threads: int) -> Plan | None:
    """Return the plan of a depthwise grad_weight problem, with enough channels to fill a vector."""
    if not is_depthwise(problem, machine.tile):
        return None
    height, vectors = sums_at_once(problem, machine.tile)
    tile = replace(machine.tile, height=height, vectors=vectors)
    return small_enough(Plan("depthwise", tile, threads, (depthwise_weight_stage(problem, tile),)))


def most_sums(tile: Tile) -> int:
    """Return how many vectors of sums fit in registers."""
    return TAP_REGISTERS[tile.wide]


def groups_of_taps(problem: Problem, axis: int, number: int) -> list[tuple[int, int, int]]:
    """Cut an axis of the kernel into groups of `number` taps; the last may overlap the one before.

    Each group is (first tap, first output that meets the image with one of them, the one after the last).
    """
    step, dilation, shift = problem.stride[axis], problem.dilation[axis], problem.padding[axis][0]
    size, taps, outputs = problem.input_size[axis], problem.kernel_size[axis], problem.output_size[axis]
    groups = []
    for first in range(0, taps, number):
        start = min(first, taps - number)
        # Outputs that meet the image with some tap; between two taps there may be some that do not.
        low, high = outputs, 0
        for tap in range(start, start + number):
            reach = shift - tap * dilation
            begin, end = max(0, ceil_div(reach, step)), min(outputs, ceil_div(size + reach, step))
            if begin < end:
                low, high = min(low, begin), max(high, end)
        groups.append((start, min(low, high), high))
    return groups


def sums_at_once(problem: Problem, tile: Tile) -> tuple[int, int]:
    """Return how many rows and columns of taps to sum at once."""
    R, S = problem.kernel_size

    def cost(choice: tuple[int, int]) -> float:
        lengths = [
            sum(high - low for _, low, high in groups_of_taps(problem, axis, number))
            for axis, number in enumerate(choice)
        ]
        return lengths[0] * lengths[1] * (max(choice[0] * choice[1], LATENCY_SUMS) + STEP_OVERHEAD)

    choices = itertools.product(range(1, min(R, MOST_TAP_ROWS) + 1), range(1, S + 1))
    return min((choice for choice in choices if choice[0] * choice[1] <= most_sums(tile)), key=cost)


def depthwise_weight_stage(problem: Problem, tile: Tile) -> Stage:
    """Return the blocks of `depthwise_kernels_weight.correlate`.

    The order of summation depends on them, so they do not depend on the threads.
    """
    row_groups = groups_of_taps(problem, 0, tile.height)
    column_groups = groups_of_taps(problem, 1, tile.vectors)
    rows = weight_rows(problem, row_groups, tile.height)
    tile_rows = rows.most_within(LARGE_TILE_BYTES // (tile.lanes * tile.item), 1, 1)
    columns = problem.output_size[1]
    sizes = Sizes(
        **rows.sizes(tile_rows),
        channels=problem.in_channels,
        **pixel_blocks(problem, tile_rows),
        pad_items=rows.source_pixels(tile_rows) * tile.lanes,
        left_items=tile_rows * columns * tile.lanes,
    )
    sums = len(row_groups) * len(column_groups) * tile.height * tile.vectors * tile.lanes
    return Stage(
        sizes,
        np.array(row_groups, np.int64),
        np.array(column_groups, np.int64),
        ceil_div(problem.in_channels, tile.lanes),
        sizes.pad_items + sizes.left_items + 2 * sums,
        rows.integers(tile_rows) + tile.lanes,
        source_in_place=False,
    )


def pixel_blocks(problem: Problem, tile_rows: int) -> dict[str, int]:
    """Return how many rows and columns of dy to sum at once, and how many such sums to add at once."""
    P, Q = problem.output_size
    pixels = problem.batch * P * Q
    most = chain(pixels, CHAIN_PIXELS)
    block_columns = even(Q, most)
    block_rows = max(1, most // max(1, Q))
    blocks = ceil_div(P, tile_rows) * ceil_div(tile_rows, block_rows) * ceil_div(Q, max(1, block_columns))
    return {
        "block_rows": block_rows,
        "block_columns": block_columns,
        "group": group(problem.batch * blocks, pixels),
    }


@dataclass(frozen=True)
class Rows:
    """The rows of dy and x as pixels, for both kernels of weight gradients."""

    problem: Problem
    top: int
    bottom: int
    phase_pitch: int

    @property
    def pitch(self) -> int:
        """Pixels from one row of x to the next."""
        return self.phase_pitch * self.problem.dilation[1]

    def source_rows(self, tile_rows: int) -> int:
        """Return how many rows of x some rows of dy need."""
        (R, _), step, dilation = self.problem.kernel_size, self.problem.stride[0], self.problem.dilation[0]
        reached = (tile_rows - 1) * step + (R - 1) * dilation + 1
        return min(self.problem.input_size[0] + self.top + self.bottom, reached)

    def source_pixels(self, tile_rows: int) -> int:
        """Return how many pixels these rows have, margins included."""
        return self.source_rows(tile_rows) * self.pitch

    def most_within(self, pixels: int, source_planes: int, planes: int) -> int:
        """Return how many rows of dy to take at once, with this many planes of pixels of x and of dy."""
        P, Q = self.problem.output_size
        tile_rows = max(1, P)
        while (
            tile_rows > 1 and source_planes * self.source_pixels(tile_rows) + planes * tile_rows * Q > pixels
        ):
            tile_rows = ceil_div(tile_rows, 2)
        return tile_rows

    def integers(self, tile_rows: int) -> int:
        """Return how many places are listed."""
        return self.sizes(tile_rows)["most_pixels"] + (tile_rows + 1) * self.problem.output_size[1]

    def sizes(self, tile_rows: int) -> dict[str, int]:
        """Return the sizes that both kernels have."""
        problem = self.problem
        (H, W), (P, Q), (R, S) = problem.input_size, problem.output_size, problem.kernel_size
        return {
            "images": problem.batch,
            "rows": P,
            "columns": Q,
            "source_rows": H,
            "source_columns": W,
            "row_taps": R,
            "column_taps": S,
            "step_h": problem.stride[0],
            "step_w": problem.stride[1],
            "dilation_h": problem.dilation[0],
            "dilation_w": problem.dilation[1],
            "shift_h": problem.padding[0][0],
            "top": self.top,
            "bottom": self.bottom,
            "left": problem.padding[1][0],
            "phase_pitch": self.phase_pitch,
            "pitch": self.pitch,
            "tile_rows": tile_rows,
            "most_pixels": min(self.source_rows(tile_rows), H) * W,
        }


def weight_rows(problem: Problem, row_groups: list[tuple[int, int, int]], height: int) -> Rows:
    """Return how rows are laid out for groups of `height` tap rows."""
    W, Q, S = problem.input_size[1], problem.output_size[1], problem.kernel_size[1]
    step, dilation, left = problem.stride[1], problem.dilation[1], problem.padding[1][0]
    reached = max(left + W, (Q - 1) * step + (S - 1) * dilation + 1)
    return Rows(problem, *_overhang(problem, row_groups, height), ceil_div(reached, dilation))


def _overhang(problem: Problem, row_groups: list[tuple[int, int, int]], number: int) -> tuple[int, int]:
    """Return how many rows above the image, and below it, the groups of taps read."""
    step, dilation, shift = problem.stride[0], problem.dilation[0], problem.padding[0][0]
    low, high = 0, problem.input_size[0] - 1
    for first, begin, end in row_groups:
        if begin < end:
            low = min(low, begin * step + first * dilation - shift)
            high = max(high, (end - 1) * step + (first + number - 1) * dilation - shift)
    return -low, high + 1 - problem.input_size[0]
