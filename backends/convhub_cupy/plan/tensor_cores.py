"""Plans products on tensor cores, whose operands are packed, as many images at a time as the workspace holds.

A plan is None where the workspace, a launch or 32-bit offsets are too small for a single image.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from convhub.backend import Problem

from .axes import nonempty_phases, reach, result_and_source_channels
from .plan import (
    BLOCKS_WANTED,
    LEAST_PART,
    MOST_BLOCKS,
    TENSOR_CORES,
    Launch,
    Plan,
    Settings,
    launches_of_phases,
)
from .tiling import ceil_div, round_up
from .variants import INDICES, Source, TensorTile, source

__all__ = [
    "TENSOR_TYPES",
    "TILES",
    "WEIGHT_TILES",
    "chunks_of",
    "correlation_plan",
    "correlation_plan_tf32",
    "correlation_sources",
    "gemm_blocks",
    "packed_channels",
    "packing",
    "weight_plan",
    "weight_plan_tf32",
    "weight_sources",
]

#: The type of a product on tensor cores, by that of the elements: float32 is rounded.
TENSOR_TYPES = {"float16": "f16", "bfloat16": "bf16", "float32": "tf32"}

#: Largest first.
WEIGHT_TILES = (TensorTile(128, 128, 64), TensorTile(64, 128, 32), TensorTile(64, 64, 32))
TILES = (*WEIGHT_TILES, TensorTile(32, 128, 32))

CHUNK_BYTES = 16  # copied by the kernels at once
PACKING_THREADS = 256
PACKED_PIXELS = 64  # of a block of `pack_pixels`
PACKED_CHUNKS = PACKING_THREADS // PACKED_PIXELS
STEP_PIXELS = 32  # parts of `tensor_weight` are multiples of it
MOST_ELEMENTS = 2**30  # read and written by the kernels at a time
FEW_PAIRS = 4  # of a group's channels: with so few, a tile is mostly empty
MANY_BLOCKS = 128  # fewer leave multiprocessors of a large device idle


def correlation_plan(problem: Problem, settings: Settings) -> Plan | None:
    """Return the plan of forward or grad_input of 16-bit numbers, or None."""
    return None if problem.dtype == "float32" else _correlation_plan(problem, settings)


def correlation_plan_tf32(problem: Problem, settings: Settings) -> Plan | None:
    """Return the plan of forward or grad_input of float32 that may be rounded to TF32, or None."""
    return _correlation_plan(problem, settings) if _may_round(problem, settings) else None


def weight_plan(problem: Problem, settings: Settings) -> Plan | None:
    """Return the plan of grad_weight of 16-bit numbers, or None."""
    return None if problem.dtype == "float32" else _weight_plan(problem, settings)


def weight_plan_tf32(problem: Problem, settings: Settings) -> Plan | None:
    """Return the plan of grad_weight of float32 that may be rounded to TF32, or None."""
    return _weight_plan(problem, settings) if _may_round(problem, settings) else None


def _may_round(problem: Problem, settings: Settings) -> bool:
    return problem.dtype == "float32" and settings.allow_tf32 and not settings.strict


def _can_run(problem: Problem, settings: Settings) -> bool:
    """Return whether the device suits the kernels, and these the problem's type and offsets."""
    fits = reach(problem) < MOST_ELEMENTS
    return problem.dtype in TENSOR_TYPES and fits and settings.capability >= TENSOR_CORES


def _correlation_plan(problem: Problem, settings: Settings) -> Plan | None:
    M, C = result_and_source_channels(problem)
    if C == 1 or M * C <= FEW_PAIRS or not _can_run(problem, settings):
        return None
    phases = nonempty_phases(problem)
    if not phases:
        return None
    groups, dtype, taps = problem.groups, problem.dtype, math.prod(problem.kernel_size)
    source_area = math.prod(problem.input_size if problem.primitive == "forward" else problem.output_size)
    channels, item = packed_channels(C, dtype), _item_bytes(dtype)
    weight_elements, image_elements = groups * M * taps * channels, groups * source_area * channels
    most = max(image_elements, math.prod(problem.result_shape[1:]))
    room = settings.workspace_limit // item - weight_elements
    images = min(problem.batch, room // image_elements, MOST_ELEMENTS // most)
    if images < 1 or weight_elements > MOST_ELEMENTS:
        return None
    areas = [rows.outputs * columns.outputs for rows, columns in phases]
    tile = _tile(TILES, groups, M, images * max(areas))
    blocks = [gemm_blocks(tile, groups, M, images * area) for area in areas]
    options = _options(dtype, tile)
    launches = (
        packing(dtype, "pack_weight", groups * M, C, taps),
        packing(dtype, "pack_pixels", images * groups, C, source_area),
        *launches_of_phases("tensor_gemm.cu", "tensor_gemm", options, blocks, tile.threads, phases),
    )
    if max(launch.blocks for launch in launches) > MOST_BLOCKS:
        return None
    workspace = (weight_elements + images * image_elements) * item
    return Plan(launches, tile, workspace_bytes=workspace, images=images)


def _weight_plan(problem: Problem, settings: Settings) -> Plan | None:
    """Return a plan whose parts divide the images that are packed at a time."""
    groups, dtype, batch = problem.groups, problem.dtype, problem.batch
    C, M = problem.group_channels
    area, source_area = math.prod(problem.output_size), math.prod(problem.input_size)
    weights = math.prod(problem.result_shape)
    if not weights or not batch * area or not _can_run(problem, settings):
        return None
    columns = math.prod(problem.kernel_size) * packed_channels(C, dtype)
    part_bytes = problem.out_channels * columns * 4  # bytes; sums are float32
    image_elements = groups * (area * packed_channels(M, dtype) + source_area * packed_channels(C, dtype))
    item, images, room = _item_bytes(dtype), min(batch, MOST_ELEMENTS // image_elements), 0
    while images:
        turns = ceil_div(batch, images)
        room = (settings.workspace_limit - images * image_elements * item) // (turns * part_bytes)
        if room > 0:
            break
        images //= 2
    else:
        return None
    tile = _tile(WEIGHT_TILES, groups, M, columns)
    tiles = gemm_blocks(tile, groups, M, columns)
    parts = max(1, min(images * area // LEAST_PART, BLOCKS_WANTED // tiles, room))
    part_pixels = round_up(ceil_div(images * area, parts), STEP_PIXELS)
    parts = ceil_div(images * area, part_pixels)
    launches = (
        packing(dtype, "pack_pixels", images * groups, M, area),
        packing(dtype, "pack_pixels", images * groups, C, source_area),
        Launch("tensor_weight.cu", "tensor_weight", _options(dtype, tile), tiles * parts, tile.threads),
        Launch("tensor_weight.cu", "tensor_add_parts", _adding_options(dtype), ceil_div(weights, 256), 256),
    )
    elements = turns * parts * part_bytes // 4
    if max(*(launch.blocks for launch in launches), elements) > MOST_ELEMENTS:
        return None
    workspace = images * image_elements * item + turns * parts * part_bytes
    return Plan(launches, tile, turns * parts, part_pixels, workspace, images)


def chunks_of(channels: int, dtype: str) -> int:
    """Return how many chunks the channels of a pixel, or of a weight's tap, are packed into."""
    return ceil_div(channels * _item_bytes(dtype), CHUNK_BYTES)


def packed_channels(channels: int, dtype: str) -> int:
    """Return how many elements the channels of a pixel take when packed."""
    return chunks_of(channels, dtype) * CHUNK_BYTES // _item_bytes(dtype)


def packing(dtype: str, name: str, planes: int, channels: int, places: int) -> Launch:
    """Return the launch that packs `planes` images or kernels of `places` pixels or taps."""
    chunks = chunks_of(channels, dtype)
    blocks = planes * ceil_div(places, PACKED_PIXELS) * ceil_div(chunks, PACKED_CHUNKS)
    if name == "pack_weight":
        blocks = ceil_div(planes * places * chunks, PACKING_THREADS)
    return Launch("pack.cu", name, _options(dtype), blocks, PACKING_THREADS)


def gemm_blocks(tile: TensorTile, groups: int, M: int, pixels: int) -> int:
    """Return how many blocks a product takes that has M rows in each group, and `pixels` columns."""
    return groups * ceil_div(M, tile.m) * ceil_div(pixels, tile.n)


def _tile(tiles: Sequence[TensorTile], groups: int, M: int, columns: int) -> TensorTile:
    """Return the tile that computes the least beyond the result, if it makes enough blocks; by arithmetic."""

    def cost(tile: TensorTile) -> float:
        blocks = gemm_blocks(tile, groups, M, columns)
        return blocks * tile.m * tile.n * (1 + 32 / tile.m + 32 / tile.n) * max(1, MANY_BLOCKS / blocks)

    return min(tiles, key=cost)


def _item_bytes(dtype: str) -> int:
    return 4 if dtype == "float32" else 2


def _options(dtype: str, tile: TensorTile | None = None) -> tuple[str, ...]:
    """Return the macros that kernels for tensor cores take; those that pack operands have no tile."""
    of_tile = zip(("TILE_M", "TILE_N", "WARP_M"), tile or (), strict=False)
    return (f"-DTENSOR={TENSOR_TYPES[dtype]}", *(f"-D{name}={value}" for name, value in of_tile))


def _adding_options(dtype: str) -> tuple[str, ...]:
    """Return the macros of `tensor_add_parts`, which has no tile: one is named since the file needs one."""
    return _options(dtype, WEIGHT_TILES[-1])


def correlation_sources(*dtypes: str) -> tuple[Source, ...]:
    """Return the variants that the plans of forward and grad_input launch."""
    # Packed operands are planned to fit 32-bit offsets.
    multiplying = (
        source("tensor_gemm.cu", "tensor_gemm", dtype, "int", *_options(dtype, tile))
        for dtype, tile in itertools.product(dtypes, TILES)
    )
    return (*_packing_sources(dtypes, "pack_weight", "pack_pixels"), *multiplying)


def weight_sources(*dtypes: str) -> tuple[Source, ...]:
    """Return the variants that the plans of grad_weight launch."""
    file = "tensor_weight.cu"
    multiplying = (
        source(file, "tensor_weight", dtype, "int", *_options(dtype, tile))
        for dtype, tile in itertools.product(dtypes, WEIGHT_TILES)
    )
    adding = (source(file, "tensor_add_parts", dtype, "int", *_adding_options(dtype)) for dtype in dtypes)
    return (*_packing_sources(dtypes, "pack_pixels"), *multiplying, *adding)


def _packing_sources(dtypes: Sequence[str], *names: str) -> tuple[Source, ...]:
    variants = itertools.product(names, dtypes, INDICES)
    return tuple(source("pack.cu", name, dtype, index, *_options(dtype)) for name, dtype, index in variants)
