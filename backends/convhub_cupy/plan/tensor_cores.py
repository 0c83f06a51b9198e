"""Plans for tensor cores: operands are packed, as many images at a time as the workspace holds.

Each returns None where the workspace, a launch or 32-bit offsets are too small for a single image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from convhub.backend import Problem

from .axes import Axis, reach
from .plan import BLOCKS_WANTED, LEAST_PART, MOST_BLOCKS, TENSOR_CORES, Launch, Plan, Settings
from .tiling import ceil_div, round_up
from .variants import TENSOR_TILES, TENSOR_TYPES, TENSOR_WEIGHT_TILES, TensorTile, tensor_options

__all__ = [
    "chunks_of",
    "correlation_plan",
    "gemm_blocks",
    "packed_channels",
    "packing",
    "takes",
    "weight_plan",
]

CHUNK_BYTES = 16  # what the kernels copy at once
PACKING_THREADS = 256
PACKED_PIXELS = 64  # of a block of `pack_pixels`
PACKED_CHUNKS = PACKING_THREADS // PACKED_PIXELS
STEP_PIXELS = 32  # parts of `tensor_weight` are multiples of it
MOST_ELEMENTS = 2**30  # of what the kernels read and write at a time
MANY_BLOCKS = 128  # fewer leave multiprocessors of a large device idle


def takes(problem: Problem, settings: Settings) -> bool:
    """Return whether tensor cores may run a problem: float32 only if it may be rounded to TF32."""
    exact = problem.dtype != "float32" or (settings.allow_tf32 and not settings.strict)
    fits = reach(problem) < MOST_ELEMENTS
    return problem.dtype in TENSOR_TYPES and exact and fits and settings.capability >= TENSOR_CORES


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
    return Launch("pack.cu", name, tensor_options(dtype), blocks, PACKING_THREADS)


def gemm_blocks(tile: TensorTile, groups: int, M: int, pixels: int) -> int:
    """Return how many blocks a product takes that has M rows in each group, and `pixels` columns."""
    return groups * ceil_div(M, tile.m) * ceil_div(pixels, tile.n)


def correlation_plan(
    problem: Problem, M: int, C: int, parts: Sequence[tuple[Axis, Axis]], settings: Settings
) -> Plan | None:
    """Return the plan of forward or grad_input, of M output and C source channels a group."""
    groups, dtype, taps = problem.groups, problem.dtype, math.prod(problem.kernel_size)
    source_area = math.prod(problem.input_size if problem.primitive == "forward" else problem.output_size)
    channels, item = packed_channels(C, dtype), _item_bytes(dtype)
    of_weight, of_image = groups * M * taps * channels, groups * source_area * channels
    most = max(of_image, math.prod(problem.result_shape[1:]))
    room = settings.workspace_limit // item - of_weight
    images = min(problem.batch, room // of_image, MOST_ELEMENTS // most)
    if images < 1 or of_weight > MOST_ELEMENTS:
        return None
    areas = [rows.outputs * columns.outputs for rows, columns in parts]
    tile = _tile(TENSOR_TILES, groups, M, images * max(areas))
    options = tensor_options(dtype, tile)
    launches = (
        packing(dtype, "pack_weight", groups * M, C, taps),
        packing(dtype, "pack_pixels", images * groups, C, source_area),
        *(
            Launch(
                "tensor_gemm.cu",
                "tensor_gemm",
                options,
                gemm_blocks(tile, groups, M, images * area),
                tile.threads,
                axes,
            )
            for area, axes in zip(areas, parts, strict=True)
        ),
    )
    if max(launch.blocks for launch in launches) > MOST_BLOCKS:
        return None
    workspace = (of_weight + images * of_image) * item
    return Plan(_name("tensor_gemm", dtype), launches, tile, workspace_bytes=workspace, images=images)


def weight_plan(problem: Problem, settings: Settings) -> Plan | None:
    """Return the plan of grad_weight, whose parts are those of the images that are packed at a time."""
    groups, dtype, batch = problem.groups, problem.dtype, problem.batch
    C, M = problem.group_channels
    area, source_area = math.prod(problem.output_size), math.prod(problem.input_size)
    columns = math.prod(problem.kernel_size) * packed_channels(C, dtype)
    of_part = problem.out_channels * columns * 4  # bytes; sums are float32
    of_image = groups * (area * packed_channels(M, dtype) + source_area * packed_channels(C, dtype))
    item, images, room = _item_bytes(dtype), min(batch, MOST_ELEMENTS // of_image), 0
    while images:
        turns = ceil_div(batch, images)
        room = (settings.workspace_limit - images * of_image * item) // (turns * of_part)
        if room > 0:
            break
        images //= 2
    else:
        return None
    tile = _tile(TENSOR_WEIGHT_TILES, groups, M, columns)
    tiles = gemm_blocks(tile, groups, M, columns)
    parts = max(1, min(images * area // LEAST_PART, BLOCKS_WANTED // tiles, room))
    part_pixels = round_up(ceil_div(images * area, parts), STEP_PIXELS)
    parts = ceil_div(images * area, part_pixels)
    weights, options = math.prod(problem.result_shape), tensor_options(dtype, tile)
    of_sums = tensor_options(dtype, TENSOR_WEIGHT_TILES[-1])  # whatever the tile: this kernel has none
    launches = (
        packing(dtype, "pack_pixels", images * groups, M, area),
        packing(dtype, "pack_pixels", images * groups, C, source_area),
        Launch("tensor_weight.cu", "tensor_weight", options, tiles * parts, tile.threads),
        Launch("tensor_weight.cu", "tensor_add_parts", of_sums, ceil_div(weights, 256), 256),
    )
    elements = turns * parts * of_part // 4
    if max(*(launch.blocks for launch in launches), elements) > MOST_ELEMENTS:
        return None
    workspace = images * of_image * item + turns * parts * of_part
    return Plan(_name("tensor_weight", dtype), launches, tile, turns * parts, part_pixels, workspace, images)


def _tile(tiles: Sequence[TensorTile], groups: int, M: int, columns: int) -> TensorTile:
    """Return the tile that computes the least beyond the result, if it makes blocks enough; by arithmetic."""

    def cost(tile: TensorTile) -> float:
        blocks = gemm_blocks(tile, groups, M, columns)
        return blocks * tile.m * tile.n * (1 + 32 / tile.m + 32 / tile.n) * max(1, MANY_BLOCKS / blocks)

    return min(tiles, key=cost)


def _item_bytes(dtype: str) -> int:
    return 4 if dtype == "float32" else 2


def _name(algorithm: str, dtype: str) -> str:
    return f"{algorithm}_tf32" if dtype == "float32" else algorithm
