"""Chooses sizes of tiles and blocks, so that what is used again is still in a cache."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from convhub.backend import Problem

from . import grad_weight
from .chains import block, chain, group
from .correlation import Axis, Correlation, Sizes, correlations
from .tiling import ceil_div, even, round_up
from .vectors.half import is_narrow_dtype

__all__ = [
    "Stage", "Tile", "dot_stage", "gemm_stage", "grad_weight_stage", "indirect_stage", "shares_well",
]  # fmt: skip

PANEL_BYTES = 24 * 1024  # a panel: most of a first-level cache
TILE_BYTES = 256 * 1024  # a tile's padded copy, or its block of the weight: a part of a second-level cache
TILE_PIXELS = 1024
LONG_TILE_PIXELS = 4096  # where each channel is used by itself
TASKS_PER_THREAD = 4
DOT_VECTORS = 256  # of pixels that each lane of a dot product adds one after another
LEAST_COLUMNS = 48  # narrower tiles would mostly copy their margins


@dataclass(frozen=True)
class Tile:
    """The register tile: `height` channels by `vectors` vectors of `lanes` elements of `item` bytes."""

    height: int
    vectors: int
    lanes: int
    item: int
    pattern: tuple[int, ...] = ()  # what else shapes the code of some kernels

    @property
    def literals(self) -> tuple[int, ...]:
        """The numbers for which a kernel is compiled."""
        return self.height, self.vectors, self.lanes, *self.pattern

    @property
    def wide(self) -> bool:
        """Whether vectors have 512 bits, and there are 32 registers of them."""
        return self.lanes * self.item == 64

    @property
    def width(self) -> int:
        """Elements across."""
        return self.vectors * self.lanes


#: The taps, or phases, of a kernel that is given none.
NO_TABLE = np.empty((0, 2), np.int64)


@dataclass(frozen=True)
class Stage:
    """One kernel over one grid of tasks."""

    sizes: Any  # the kernel's NamedTuple of sizes
    taps: np.ndarray
    phases: np.ndarray
    tasks: int
    items: int  # scratch elements of each thread
    integers: int
    source_in_place: bool  # if contiguous
    weight_in_place: bool = False
    shared_items: int = 0  # scratch elements that all threads share

    @property
    def table_bytes(self) -> int:
        """Memory of the tables that all threads share."""
        return int(self.taps.nbytes + self.phases.nbytes)


@dataclass(frozen=True)
class Planes:
    """The taps as kernels have them, the phases of the source that they read, and how far they reach."""

    taps: np.ndarray
    phases: np.ndarray
    shift_h: int
    shift_w: int
    span_h: int
    span_w: int
    inside: bool  # stride 1, no padding, nothing to widen: the source can be read where it lies

    def items(self, rows: int, columns: int) -> int:
        """Elements of one channel's padded copy under a tile of outputs."""
        return (rows + self.span_h) * (columns + self.span_w) * len(self.phases)


def _planes(part: Correlation, dtype: str) -> Planes:
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


def _pixel_tile(rows: int, columns: int, most: int, planes: Planes, channel_bytes: int) -> tuple[int, int]:
    """Return how many rows and columns of outputs to take at once from one image."""
    tile_columns = even(columns, most)
    tile_rows = max(1, min(rows, most // tile_columns))
    while tile_rows > 1 and planes.items(tile_rows, tile_columns) * channel_bytes > TILE_BYTES:
        tile_rows = ceil_div(tile_rows, 2)
    while tile_columns > LEAST_COLUMNS and planes.items(tile_rows, tile_columns) * channel_bytes > TILE_BYTES:
        tile_columns = ceil_div(tile_columns, 2)
    return even(rows, tile_rows), tile_columns


def shares_well(tasks: int, threads: int) -> bool:
    """Say whether so many tasks keep so many threads busy to the end, or nearly."""
    idle = -tasks % threads
    return threads == 1 or (tasks >= TASKS_PER_THREAD * threads and 12 * idle <= tasks)


def _sizes(problem: Problem, part: Correlation, planes: Planes, **blocks: int) -> Sizes:
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


def gemm_stage(problem: Problem, part: Correlation, tile: Tile, threads: int) -> Stage:
    """Return the blocks of `gemm.kernels.correlate`."""
    planes = _planes(part, problem.dtype)
    images, M, C = problem.batch, part.out_channels, part.source_channels
    A, B = part.rows.count, part.columns.count
    most_terms = block(part.terms, PANEL_BYTES // (tile.width * tile.item))
    block_taps = min(most_terms, part.taps)
    block_channels = even(C, max(1, most_terms // part.taps))
    terms = block_channels * block_taps
    several = terms < part.terms
    dense = part.columns.step == part.rows.step == 1

    tile_channels = even(M, max(tile.height, TILE_BYTES // (terms * tile.item)), tile.height)
    most = TILE_PIXELS if dense or not several else TILE_PIXELS // 2
    copied = tile.item * block_channels
    tile_rows, tile_columns = _pixel_tile(A, B, most, planes, 0 if planes.inside else copied)
    tile_images = 1
    if tile_rows == A and tile_columns == B and images:
        fitting = min(most // (A * B), TILE_BYTES // (planes.items(A, B) * copied))
        tile_images = even(images, max(1, fitting))

    def tasks() -> int:
        tiles = ceil_div(images, tile_images) * ceil_div(A, tile_rows) * ceil_div(B, tile_columns)
        return tiles * part.groups * ceil_div(M, tile_channels)

    while images and not shares_well(tasks(), threads):
        pixels = tile_images * tile_rows * tile_columns
        if pixels <= 8 * tile.width and tile_channels > 4 * tile.height and tasks() < threads:
            # Each block of channels packs all pixels again.
            tile_channels = round_up(ceil_div(tile_channels, 2), tile.height)
        elif pixels <= (8 if tasks() >= threads else 2) * tile.width:
            break
        elif tile_images > 1:
            tile_images = ceil_div(tile_images, 2)
        elif tile_rows > 1:
            tile_rows = ceil_div(tile_rows, 2)
        else:
            tile_columns = ceil_div(tile_columns, 2)
    pixels = tile_images * tile_rows * tile_columns
    sizes = _sizes(
        problem,
        part,
        planes,
        tile_images=tile_images,
        tile_rows=tile_rows,
        tile_columns=tile_columns,
        tile_groups=1,
        tile_channels=tile_channels,
        block_channels=block_channels,
        block_taps=block_taps,
        pad_items=block_channels * tile_images * planes.items(tile_rows, tile_columns) + tile.lanes,
        panel_items=(terms + 1) * tile.width + tile.lanes,
        packed_items=tile_channels * terms,
        held_panels=ceil_div(pixels, tile.width) if several else 1,
    )
    items = sizes.pad_items + sizes.panel_items + sizes.packed_items
    items += sizes.held_panels * tile_channels * tile.width
    integers = 4 * tile.width + terms
    return Stage(
        sizes, planes.taps, planes.phases, tasks(), items, integers, planes.inside,
        problem.primitive == "forward"
        and part.taps == math.prod(problem.kernel_size)
        and not is_narrow_dtype(problem.dtype),
    )  # fmt: skip


def indirect_stage(problem: Problem, part: Correlation, tile: Tile, threads: int) -> Stage:
    """Return the blocks of `indirect.kernels.correlate`."""
    planes = _planes(part, problem.dtype)
    A, B = part.rows.count, part.columns.count
    in_place = planes.inside and tile.lanes <= B
    copied = 0 if in_place else part.source_channels * tile.item
    tile_rows, tile_columns = _pixel_tile(A, B, LONG_TILE_PIXELS, planes, copied)
    tile_groups = part.groups

    def tasks() -> int:
        tiles = problem.batch * ceil_div(A, tile_rows) * ceil_div(B, tile_columns)
        return tiles * ceil_div(part.groups, tile_groups)

    while problem.batch and not shares_well(tasks(), threads):
        if tile_groups > 1:
            tile_groups = ceil_div(tile_groups, 2)
        elif tile_rows > 4:
            tile_rows = ceil_div(tile_rows, 2)
        else:
            break
    block_terms = block(part.terms, PANEL_BYTES // (24 * tile.lanes))
    sizes = _sizes(
        problem,
        part,
        planes,
        tile_images=1,
        tile_rows=tile_rows,
        tile_columns=tile_columns,
        tile_groups=tile_groups,
        tile_channels=tile.height,
        block_channels=block_terms,
        block_taps=part.taps,
        pad_items=part.source_channels * planes.items(tile_rows, tile_columns) + tile.lanes,
        panel_items=0,
        packed_items=part.terms * tile.height,
        held_panels=0,
    )
    items = sizes.pad_items + sizes.packed_items + tile.height * (tile.width + 1)
    listed = tile_rows * ceil_div(tile_columns, tile.lanes) + tile.vectors
    integers = 2 * listed + tile.vectors + part.terms
    return Stage(sizes, planes.taps, planes.phases, tasks(), items, integers, in_place)


def grad_weight_stage(problem: Problem, tile: Tile, threads: int) -> Stage:
    """Return the blocks of `grad_weight.correlate`."""
    (part,) = correlations(problem.replace(primitive="forward"))
    planes = _planes(part, problem.dtype)
    M, columns = part.out_channels, part.terms
    block_columns = even(columns, 10 * tile.width, tile.width)
    block_channels = even(M, 128, tile.height)

    def tasks() -> int:
        return part.groups * ceil_div(M, block_channels) * ceil_div(columns, block_columns)

    while not shares_well(tasks(), threads):
        if block_columns > tile.width:
            block_columns = even(columns, block_columns - tile.width, tile.width)
        elif block_channels > 2 * tile.height:
            block_channels = even(M, ceil_div(block_channels, 2), tile.height)
        else:
            break
    channels = min(part.source_channels, (block_columns - 2) // part.taps + 2)
    # The order of summation depends on these two: they must not depend on the threads.
    tile_rows, tile_columns = _pixel_tile(part.rows.count, part.columns.count, TILE_PIXELS, planes, tile.item)
    most = chain(_pixels(problem), PANEL_BYTES // (tile.width * tile.item))
    block_pixels = even(tile_rows * tile_columns, most)
    return _reduced(
        problem,
        part,
        planes,
        tile,
        tasks(),
        planes.inside,
        ceil_div(tile_rows * tile_columns, block_pixels),
        tile_rows=tile_rows,
        tile_columns=tile_columns,
        block_pixels=block_pixels,
        block_channels=block_channels,
        block_columns=block_columns,
        pad_items=channels * planes.items(tile_rows, tile_columns) + tile.lanes,
        panel_items=(block_pixels + tile.lanes) * tile.width,
        left_items=block_channels * block_pixels,
        sum_items=block_channels * block_columns,
    )


def dot_stage(problem: Problem, tile: Tile) -> Stage:
    """Return the blocks of `dot.kernels.correlate`; `tile.vectors` is how many taps are summed at once."""
    (part,) = correlations(problem.replace(primitive="forward"))
    planes = _planes(part, problem.dtype)
    M, C = part.out_channels, part.source_channels
    tile_rows, tile_columns, block_rows = dot_rows(problem, part, planes, tile, C)
    return _reduced(
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


def dot_rows(
    problem: Problem, part: Correlation, planes: Planes, tile: Tile, copied: int
) -> tuple[int, int, int]:
    """Return a tile's rows and columns of pixels for dot products, and how many rows to sum at once.

    Each lane adds the pixels that it meets one after another.
    """
    most = chain(_pixels(problem), DOT_VECTORS)
    tile_rows, tile_columns = _pixel_tile(
        part.rows.count,
        part.columns.count,
        min(LONG_TILE_PIXELS, most * tile.lanes),
        planes,
        copied * tile.item,
    )
    return tile_rows, tile_columns, even(tile_rows, max(1, most // ceil_div(tile_columns, tile.lanes)))


def _pixels(problem: Problem) -> int:
    """Return how many products make up an element of the weight's gradient."""
    return problem.batch * math.prod(problem.output_size)


def _reduced(
    problem: Problem,
    part: Correlation,
    planes: Planes,
    tile: Tile,
    tasks: int,
    in_place: bool,
    tile_blocks: int,
    **blocks: int,
) -> Stage:
    """Return the stage of a weight's gradient; a tile of pixels is summed in `tile_blocks` blocks."""
    tiles = ceil_div(part.rows.count, blocks["tile_rows"]) * ceil_div(
        part.columns.count, blocks["tile_columns"]
    )
    sizes = grad_weight.Sizes(
        images=problem.batch,
        groups=part.groups,
        out_channels=part.out_channels,
        in_channels=part.source_channels,
        rows=part.rows.count,
        columns=part.columns.count,
        step_h=part.rows.source_step,
        step_w=part.columns.source_step,
        shift_h=planes.shift_h,
        shift_w=planes.shift_w,
        span_h=planes.span_h,
        span_w=planes.span_w,
        source_items=math.prod(problem.input_shape),
        group=group(problem.batch * tiles * tile_blocks, _pixels(problem)),
        **blocks,
    )
    items = sizes.pad_items + sizes.panel_items + sizes.left_items + 2 * sizes.sum_items
    integers = sizes.block_columns + 3 * sizes.block_pixels
    return Stage(sizes, planes.taps, planes.phases, tasks, items, integers, in_place)
