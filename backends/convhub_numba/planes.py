"""Lays out the padded copies of planes under tiles of outputs, which several algorithms read."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from convhub.backend import Problem

from .correlation import Axis, Correlation, Sizes
from .stage import Stage
from .tiling import TILE_BYTES, ceil_div, even
from .vectors.half import is_narrow_dtype

__all__ = [
    "LONG_TILE_PIXELS", "TILE_PIXELS", "Planes", "correlation_sizes", "leaves_pixels", "pixel_tile",
    "planes_of",
]  # fmt: skip

TILE_PIXELS = 1024
LONG_TILE_PIXELS = 4096  # where each channel is used by itself
LEAST_COLUMNS = 48  # narrower tiles would mostly copy their margins


@dataclass(frozen=True)
class Planes:
    """The taps as kernels take them, the phases of the source that they read, and how far they reach."""

    taps: np.ndarray
    phases: np.ndarray
    shift_h: int
    shift_w: int
    span_h: int
    span_w: int
    inside: bool  # stride 1, no padding, nothing to widen: the source can be read in place

    def items(self, rows: int, columns: int) -> int:
        """Return how many elements one channel's padded copy has under a tile of outputs."""
        return (rows + self.span_h) * (columns + self.span_w) * len(self.phases)


def planes_of(part: Correlation, dtype: str) -> Planes:
    """Return how the source of a correlation is copied for its taps."""
    rows, columns = part.rows, part.columns
    step_h, step_w = rows.source_step, columns.source_step
    r, high = np.array(rows.taps, np.int64).T
    s, wide = np.array(columns.taps, np.int64).T
    # Phases of rows and of columns that occur, and for each tap its place among them.
    phases_h, phase_h = np.unique(high % step_h, return_inverse=True)
    phases_w, phase_w = np.unique(wide % step_w, return_inverse=True)
    shift_h, shift_w = int((high // step_h).min()), int((wide // step_w).min())
    across = np.broadcast_arrays(
        r[:, None],
        s,
        phase_h[:, None] * len(phases_w) + phase_w,
        (high // step_h - shift_h)[:, None],
        wide // step_w - shift_w,
        high[:, None] * columns.source_size + wide,
    )
    taps = np.stack(across, axis=-1).reshape(-1, 6)
    phases = np.stack(np.meshgrid(phases_h, phases_w, indexing="ij"), axis=-1).reshape(-1, 2)
    return Planes(
        taps,
        phases,
        shift_h,
        shift_w,
        int(taps[:, 3].max()),
        int(taps[:, 4].max()),
        step_h == step_w == 1 and _inside(rows) and _inside(columns) and not is_narrow_dtype(dtype),
    )


def _inside(axis: Axis) -> bool:
    return all(0 <= shift <= axis.source_size - axis.count for _, shift in axis.taps)


def pixel_tile(rows: int, columns: int, most: int, planes: Planes, channel_bytes: int) -> tuple[int, int]:
    """Return how many rows and columns of outputs to take at once from one image."""
    tile_columns = even(columns, most)
    tile_rows = max(1, min(rows, most // tile_columns))
    while tile_rows > 1 and planes.items(tile_rows, tile_columns) * channel_bytes > TILE_BYTES:
        tile_rows = ceil_div(tile_rows, 2)
    while tile_columns > LEAST_COLUMNS and planes.items(tile_rows, tile_columns) * channel_bytes > TILE_BYTES:
        tile_columns = ceil_div(tile_columns, 2)
    return even(rows, tile_rows), tile_columns


def correlation_sizes(problem: Problem, part: Correlation, planes: Planes, **blocks: int) -> Sizes:
    """Return the kernel's parameters, with the `blocks` of its algorithm."""
    row = problem.result_shape[3]
    channel = problem.result_shape[2] * row
    return Sizes(
        images=problem.batch,
        groups=part.groups,
        out_channels=part.out_channels,
        source_channels=part.source_channels,
        rows=part.rows.count,
        columns=part.columns.count,
        step_h=part.rows.source_step,
        step_w=part.columns.source_step,
        out_first=part.rows.first * row + part.columns.first,
        out_image=problem.result_shape[1] * channel,
        out_channel=channel,
        out_row=part.rows.step * row,
        out_column=part.columns.step,
        weight_row=part.terms,
        shift_h=planes.shift_h,
        shift_w=planes.shift_w,
        span_h=planes.span_h,
        span_w=planes.span_w,
        source_items=problem.batch
        * part.groups
        * part.source_channels
        * part.rows.source_size
        * part.columns.source_size,
        **blocks,
    )


def leaves_pixels(problem: Problem, stages: tuple[Stage, ...]) -> bool:
    """Say whether no stage computes some pixels of the result, since no tap reaches them."""
    covered: int = sum(stage.sizes.rows * stage.sizes.columns for stage in stages)
    return covered < math.prod(problem.result_shape[2:])
