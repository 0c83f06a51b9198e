"""Chooses the kernel that runs a problem, its tiles and its number of blocks. Nothing here knows a device.

=============  =================================================================================
tensor_gemm    forward, and each phase of grad_input, on tensor cores: float16 and bfloat16, and
               float32 where it may be rounded to TF32 (``tensor_gemm_tf32``)
tensor_weight  grad_weight on tensor cores
winograd       forward and grad_input of float32 with 3x3 taps, stride 1 and many channels
implicit_gemm  forward, and each phase of grad_input, as a matrix product
grad_weight    grad_weight as a matrix product over pixels, in parts that are added in their order
depthwise      forward and grad_input of groups with one source channel; grad_weight of small groups
direct         what is left: complex numbers, integers, and sizes beyond a launch
=============  =================================================================================

Parts of sums depend on the problem alone, never on the device, so that the bits do not either.
"""

from __future__ import annotations

import math

from convhub.backend import Problem, bounded_cache

from .plan import tensor_cores
from .plan.axes import Axis, phases
from .plan.plan import BLOCKS_WANTED, DIRECT_BLOCKS, LEAST_PART, MOST_BLOCKS, THREADS, Launch, Plan, Settings
from .plan.tiling import ceil_div, round_up
from .plan.variants import TILED_DTYPES, Tile, tiles_for
from .plan.winograd import winograd_plan

__all__ = ["Launch", "Plan", "Settings", "plan"]

FEW_WEIGHTS = 64  # of a group's kernels in one tap: too few for a matrix product


@bounded_cache()
def plan(problem: Problem, settings: Settings) -> Plan:
    """Return the plan for a problem."""
    if problem.primitive == "grad_weight":
        return _weight_plan(problem, settings)
    return _correlation_plan(problem, settings)


def _channels(problem: Problem) -> tuple[int, int]:
    """Return how many channels one group of the result has, and of the source."""
    inward, outward = problem.group_channels
    return (inward, outward) if problem.primitive == "grad_input" else (outward, inward)


def _correlation_plan(problem: Problem, settings: Settings) -> Plan:
    groups = problem.groups
    M, C = _channels(problem)
    parts = phases(problem) if math.prod(problem.result_shape) else []
    parts = [(rows, columns) for rows, columns in parts if rows.outputs and columns.outputs]
    planes, areas = problem.batch * groups * M, [rows.outputs * columns.outputs for rows, columns in parts]
    tiled = problem.dtype in TILED_DTYPES
    if areas and C > 1 and M * C > 4 and tensor_cores.takes(problem, settings):
        made = tensor_cores.correlation_plan(problem, M, C, parts, settings)
        if made is not None:
            return made
    made = winograd_plan(problem, M, C, settings)
    if made is not None:
        return made
    if tiled and C == 1:
        blocks = [planes * ceil_div(area, THREADS) for area in areas]
        if max(blocks, default=0) <= MOST_BLOCKS:
            launches = _launches("depthwise.cu", "depthwise_correlate", (), blocks, THREADS, parts)
            return Plan("depthwise", launches)
    if tiled and M * C > 4:
        tile = _tile(problem.dtype, M, problem.batch * max(areas, default=0))
        channel_tiles = groups * ceil_div(M, tile.m)
        blocks = [channel_tiles * ceil_div(problem.batch * area, tile.n) for area in areas]
        if max(blocks, default=0) <= MOST_BLOCKS:
            options = (*tile.options, f"-DTAPS_OUTER={int(C % tile.k == 0 or 4 * tile.k <= C)}")
            launches = _launches("implicit_gemm.cu", "implicit_gemm", options, blocks, tile.threads, parts)
            # The weight is laid out so that threads read neighbours; where that does not fit, it is left.
            weight = math.prod(problem.weight_shape) * problem.itemsize
            workspace = weight if weight <= settings.workspace_limit else 0
            return Plan("implicit_gemm", launches, tile, workspace_bytes=workspace)
    blocks = [min(DIRECT_BLOCKS, ceil_div(planes * area, THREADS)) for area in areas]
    return Plan("direct", _launches("direct.cu", "direct_correlate", (), blocks, THREADS, parts))


def _launches(
    file: str,
    name: str,
    options: tuple[str, ...],
    blocks: list[int],
    threads: int,
    parts: list[tuple[Axis, Axis]],
) -> tuple[Launch, ...]:
    return tuple(
        Launch(file, name, options, count, threads, axes) for count, axes in zip(blocks, parts, strict=True)
    )


def _tile(dtype: str, rows: int, columns: int) -> Tile:
    """Return the tile that leaves the least of itself empty, and among equals the largest."""

    def computed(tile: Tile) -> float:
        return round_up(rows, tile.m) * round_up(columns, tile.n) * (1 + 16 / tile.m + 16 / tile.n)

    return min(tiles_for(dtype), key=computed)


def _weight_plan(problem: Problem, settings: Settings) -> Plan:
    workspace_limit = settings.workspace_limit
    weights = math.prod(problem.result_shape)
    M, C = _channels(problem)
    small = C == 1 or M * C <= FEW_WEIGHTS
    if weights and problem.dtype in TILED_DTYPES and small and weights <= MOST_BLOCKS:
        return Plan("depthwise", (Launch("depthwise.cu", "depthwise_grad_weight", (), weights, THREADS),))
    pixels = problem.batch * math.prod(problem.output_size)
    if weights and pixels and tensor_cores.takes(problem, settings):
        made = tensor_cores.weight_plan(problem, settings)
        if made is not None:
            return made
    if weights and pixels and problem.dtype in TILED_DTYPES:
        columns = weights // problem.out_channels
        tile = _tile(problem.dtype, M, columns)
        tiles = problem.groups * ceil_div(M, tile.m) * ceil_div(columns, tile.n)
        item = 8 if problem.dtype == "float64" else 4
        most = max(1, min(pixels // LEAST_PART, BLOCKS_WANTED // tiles, workspace_limit // (item * weights)))
        part_pixels = round_up(ceil_div(pixels, most), tile.k)
        part_pixels = max(tile.k, part_pixels)
        parts = ceil_div(pixels, part_pixels)
        workspace = parts * weights * item
        if tiles * parts <= MOST_BLOCKS and columns < 2**30 and workspace <= workspace_limit:
            add = Launch(
                "grad_weight.cu",
                "add_parts",
                tiles_for(problem.dtype)[-1].options,
                ceil_div(weights, 256),
                256,
            )
            multiply = Launch("grad_weight.cu", "grad_weight", tile.options, tiles * parts, tile.threads)
            return Plan("grad_weight", (multiply, add), tile, parts, part_pixels, workspace)
    blocks = min(DIRECT_BLOCKS, ceil_div(weights, THREADS))
    launches = (Launch("direct.cu", "direct_grad_weight", (), blocks, THREADS),) if weights else ()
    return Plan("direct", launches)
