"""Chooses Winograd's schemes along each axis, by the time they save, and the blocks in which they run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

from convhub.backend import Problem

from ...algorithm import Machine, fits_one_thread
from ...chains import block
from ...channel_tile import channel_tile
from ...correlation import products
from ...stage import NO_TABLE, Plan, Stage, Tile
from ...tiling import ceil_div, even, round_up
from ...vectors.half import is_narrow_dtype
from . import kernels as winograd
from .error import keeps_bound
from .matrices import Scheme

__all__ = ["AxisTiles", "axis_tiles", "best_tiling", "make_best_plan", "make_plan", "may_run", "tilings"]

#: Sides of tiles to choose from, and the most taps that one phase may have. Which of them keep the bound
#: depends on the other axis and on how many terms are summed: see `error`.
SIDES = (4, 3, 2, 1)
MOST_TAPS = 7
MOST_POINTS = 20  # along one axis: transforms are compiled without loops
TASK_TILES = 48
BLOCK_BYTES = 6 * 1024 * 1024  # transformed tiles and their products
CHAIN_CHANNELS = 192  # summed one after another
#: The cost of transforming a vector, for each of its points, in multiply-adds.
SOURCE_COST, OUTPUT_COST, WEIGHT_COST = 13.0, 9.0, 8.0
LARGE_WEIGHT_COST = 20.0  # where the transformed weight is larger than a cache
LARGE_WEIGHT_BYTES = 10 * 1024 * 1024
STREAM_COST = 12.0  # to fetch a vector of weights for a task, where they do not fit a core's own cache
SHARED_COST = 10.0  # to fetch one that another core has transformed
CACHE_BYTES = 1024 * 1024
PLAIN_COST = 1.1  # of plain sums, packing included
LEAST_SAVING = 1.05  # of time
LEAST_CHANNELS = 16


def make_plan(problem: Problem, machine: Machine, threads: int) -> Plan | None:
    """Return the plan of a forward or grad_input problem, if it is likely the fastest, or is asked for."""
    if not may_run(problem, machine):
        return None
    tile = channel_tile(_channels(problem)[0], machine.tile)
    return make_best_plan(problem, machine, threads, tile, best_tiling(problem, tile), winograd_stage)


def may_run(problem: Problem, machine: Machine) -> bool:
    """Say whether the settings and the type of numbers allow it, and there are enough channels."""
    if machine.options.accuracy == "strict" or machine.engine_options.winograd == "never":
        return False
    if is_narrow_dtype(problem.dtype):
        return False
    return min(problem.group_channels) >= LEAST_CHANNELS or machine.engine_options.winograd == "always"


def make_best_plan(
    problem: Problem,
    machine: Machine,
    threads: int,
    tile: Tile,
    best: tuple[float, tuple[AxisTiles, AxisTiles]] | None,
    make_stage: Callable[..., Stage],
) -> Plan | None:
    """Return the plan with the best tiling, if it saves enough time and fits; see `best_tiling`."""
    if best is None or (best[0] < LEAST_SAVING and machine.engine_options.winograd != "always"):
        return None
    schemes = (best[1][0].scheme, best[1][1].scheme)
    outputs, taps = ("x".join(str(scheme[i]) for scheme in schemes) for i in (0, 1))
    note = f"{outputs} outputs of {taps} taps"

    def plan_for(count: int) -> Plan:
        stage = make_stage(problem, best[1], tile, count)
        return Plan("winograd", tile, count, (stage,), details=schemes, note=note)

    # Whether it fits must not depend on the threads, since the bits depend on it.
    return plan_for(threads) if fits_one_thread(plan_for(1), machine) else None


class AxisTiles(NamedTuple):
    """The layout of tiles along one axis; see `kernels.Sizes`."""

    scheme: Scheme
    dilation: int
    tiles: int  # groups of `dilation` tiles
    source_group: int
    out_group: int
    source_first: int
    out_first: int

    @property
    def work(self) -> int:
        """Products along this axis."""
        return self.tiles * self.dilation * self.scheme.points


def axis_tiles(problem: Problem, axis: int, outputs: int) -> AxisTiles:
    """Return the tiles of `outputs` outputs (of each phase) that cover one axis of the result."""
    taps, stride, dilation = problem.kernel_size[axis], problem.stride[axis], problem.dilation[axis]
    pad = problem.padding[axis][0]
    size = problem.result_shape[2 + axis]
    spread = problem.primitive == "grad_input"
    scheme = Scheme(outputs, taps, stride, spread)
    if taps == 1:
        dilation = 1
    if spread:
        out_first = -(pad % stride) if stride > 1 else 0
        source_first = pad // stride - scheme.reach if stride > 1 else pad - scheme.reach * dilation
        source_group, out_group = outputs * dilation, outputs * stride * dilation
    else:
        out_first, source_first = 0, -pad
        source_group, out_group = outputs * stride * dilation, outputs * dilation
    return AxisTiles(
        scheme,
        dilation,
        ceil_div(size - out_first, out_group),
        source_group,
        out_group,
        source_first,
        out_first,
    )


def tilings(problem: Problem) -> list[tuple[AxisTiles, AxisTiles]]:
    """Return every way to tile the result that keeps the bound.

    The list is empty where Winograd's algorithm cannot run or saves nothing. The tiles of grad_weight are
    those of its forward problem.
    """
    geometry = problem.replace(primitive="forward") if problem.primitive == "grad_weight" else problem
    sides = []
    one_sided = 1 in problem.kernel_size
    for axis, (taps, stride) in enumerate(zip(problem.kernel_size, problem.stride, strict=True)):
        most = ceil_div(taps, stride)
        if taps < stride or most > MOST_TAPS or (stride > 1 and (problem.dilation[axis] > 1 or one_sided)):
            return []
        made = [axis_tiles(geometry, axis, outputs) for outputs in (SIDES if most > 1 else (1,))]
        sides.append([tiles for tiles in made if tiles.scheme.points <= MOST_POINTS])
    return [
        (high, wide)
        for high, wide in itertools.product(*sides)
        if (high.scheme.outputs > 1 or wide.scheme.outputs > 1)
        and keeps_bound(problem, high.scheme, wide.scheme)
    ]


def winograd_stage(problem: Problem, axes: tuple[AxisTiles, AxisTiles], tile: Tile, threads: int) -> Stage:
    """Return the blocks of `kernels.correlate`; `tile` is a `channel_tile`."""
    high, wide = axes
    M, C = _channels(problem)
    points = high.scheme.points * wide.scheme.points
    channel_blocks = ceil_div(C, tile.lanes)
    padded_out = round_up(M, tile.width)
    most = max(1, min(TASK_TILES, BLOCK_BYTES // (points * (C + padded_out) * tile.item)))
    blocks = _task_blocks(problem, axes, tile, most, threads)
    block_images, block_h, block_w, block_out = blocks
    grouped = high.dilation * wide.dilation
    rows = (block_h - 1) * high.source_group + high.scheme.sources * high.dilation
    columns = (block_w - 1) * wide.source_group + wide.scheme.sources * wide.dilation
    out_pixels = block_h * high.out_group * block_w * wide.out_group
    tiles = block_images * block_h * block_w * grouped
    sizes = winograd.Sizes(
        images=problem.batch,
        groups=problem.groups,
        out_channels=M,
        source_channels=C,
        rows=problem.result_shape[2],
        columns=problem.result_shape[3],
        dilation_h=high.dilation,
        dilation_w=wide.dilation,
        tiles_h=high.tiles,
        tiles_w=wide.tiles,
        source_group_h=high.source_group,
        source_group_w=wide.source_group,
        out_group_h=high.out_group,
        out_group_w=wide.out_group,
        source_first_h=high.source_first,
        source_first_w=wide.source_first,
        out_first_h=high.out_first,
        out_first_w=wide.out_first,
        sources_h=high.scheme.sources,
        sources_w=wide.scheme.sources,
        points=points,
        block_images=block_images,
        block_h=block_h,
        block_w=block_w,
        block_out=block_out,
        block_channels=even(channel_blocks, max(1, block(problem.terms, CHAIN_CHANNELS) // tile.lanes)),
        channel_blocks=channel_blocks,
        tiles=tiles,
        pixel_items=block_images * rows * columns * tile.lanes,
        source_items=points * (tiles * channel_blocks + 1) * tile.lanes,
        product_items=points * (tiles * block_out + tile.lanes),
        out_items=block_images * out_pixels * tile.lanes,
    )
    taps = math.prod(problem.kernel_size)
    items = sizes.pixel_items + sizes.source_items + sizes.product_items + sizes.out_items
    items += tile.width + tile.lanes
    integers = 3 * tiles + channel_blocks + tile.lanes + max(rows * columns, out_pixels)
    return Stage(
        sizes, NO_TABLE, NO_TABLE, _tasks(problem, axes, blocks),
        max(items, (tile.vectors + 1) * taps * tile.lanes**2), max(integers, tile.width + 2 * tile.lanes),
        False,
        shared_items=problem.groups * points * (padded_out * C + tile.lanes),
    )  # fmt: skip


class Blocks(NamedTuple):
    """The size of a task: images, groups of tiles along each axis, output channels."""

    images: int
    high: int
    wide: int
    out: int


def _tasks(problem: Problem, axes: tuple[AxisTiles, AxisTiles], blocks: Blocks) -> int:
    high, wide = axes
    tiles = (
        ceil_div(problem.batch, blocks.images)
        * ceil_div(high.tiles, blocks.high)
        * ceil_div(wide.tiles, blocks.wide)
    )
    return tiles * problem.groups * ceil_div(_channels(problem)[0], blocks.out)


def _task_blocks(
    problem: Problem, axes: tuple[AxisTiles, AxisTiles], tile: Tile, most: int, threads: int
) -> Blocks:
    """Return the blocks, of at most `most` tiles, that are likely to finish earliest on the threads."""
    high, wide = axes
    M, C = _channels(problem)
    grouped = high.dilation * wide.dilation
    block_w = even(wide.tiles, most // grouped)
    block_h = even(high.tiles, most // (grouped * block_w)) if block_w == wide.tiles else 1
    block_images = 1
    if block_w == wide.tiles and block_h == high.tiles and problem.batch:
        block_images = even(problem.batch, most // (grouped * block_w * block_h))
    panels = ceil_div(M, tile.width)
    largest = Blocks(block_images, block_h, block_w, panels * tile.width)
    if threads == 1 or not problem.batch:
        return largest
    vectors_in, vectors_out = ceil_div(C, tile.lanes), panels * tile.vectors
    large = high.scheme.points * wide.scheme.points * C * panels * tile.width * tile.item > CACHE_BYTES

    def cost(blocks: Blocks) -> float:
        """Count vectors of multiply-adds for each point until the last thread is done."""
        tiles = _rows_cost(blocks.images * blocks.high * blocks.wide * grouped, tile.height)
        out = blocks.out // tile.lanes
        products = C * out * (tiles + (STREAM_COST if large else 0))
        transforms = tiles * (SOURCE_COST * vectors_in + OUTPUT_COST * out)
        each = ceil_div(_tasks(problem, axes, blocks), threads) * (products + transforms)
        shared = problem.groups * ceil_div(panels * tile.width, blocks.out) < threads
        return each + shared * SHARED_COST * C * vectors_out / threads

    outs = sorted({even(panels, ceil_div(panels, parts)) * tile.width for parts in range(1, 2 * threads + 1)})
    choices = [largest._replace(images=images) for images in _halvings(block_images)]
    choices += [largest._replace(images=1, high=rows) for rows in _halvings(block_h)]
    return min((choice._replace(out=out) for choice in choices for out in outs), key=cost)


def _halvings(value: int) -> list[int]:
    """Return the value, its half, and so on to one."""
    return [value] + (_halvings(ceil_div(value, 2)) if value > 1 else [])


def _rows_cost(tiles: int, height: int) -> float:
    """Return the time of `tiles` tiles, as the number of tiles in full register tiles that take it."""
    return tiles // height * height + tiles % height // 4 * 5 + tiles % height % 4 * 2.5


def best_tiling(problem: Problem, tile: Tile) -> tuple[float, tuple[AxisTiles, AxisTiles]] | None:
    """Return how many times faster than plain sums the best tiling is likely to be, and that tiling.

    Times are counted in vectors of multiply-adds.
    """
    if not problem.batch:
        return None
    M, C = _channels(problem)
    vectors_in = ceil_div(C, tile.lanes)
    vectors_out = ceil_div(M, tile.width) * tile.vectors

    def cost(axes: tuple[AxisTiles, AxisTiles]) -> float:
        high, wide = axes
        points = high.scheme.points * wide.scheme.points
        tiles = problem.batch * high.work * wide.work  # times their points
        products = tiles * C * vectors_out
        transforms = tiles * (SOURCE_COST * vectors_in + OUTPUT_COST * vectors_out)
        weights = points * C * vectors_out
        large = weights * tile.lanes * tile.item > LARGE_WEIGHT_BYTES
        return float(products + transforms + weights * (LARGE_WEIGHT_COST if large else WEIGHT_COST))

    choices = tilings(problem)
    if not choices:
        return None
    best = min(choices, key=cost)
    plain = PLAIN_COST * problem.batch * products(problem) * C * vectors_out
    return plain / cost(best), best


def _channels(problem: Problem) -> tuple[int, int]:
    """Return the channels of one group: of the result, and of the source."""
    inward, outward = problem.group_channels
    return (inward, outward) if problem.primitive == "grad_input" else (outward, inward)
