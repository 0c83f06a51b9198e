"""Which kernel runs a problem, in which tiles, and as how many blocks. Nothing here knows a device.

=============  =================================================================================
implicit_gemm  forward, and each phase of grad_input, as a matrix product
grad_weight    grad_weight as a matrix product over pixels, in parts that are added in their order
depthwise      forward and grad_input of groups with one source channel; grad_weight of small groups
direct         what is left: complex numbers, integers, and sizes beyond a launch
=============  =================================================================================

Parts of sums depend on the problem alone, never on the device, so that the bits do not either.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from convhub.problem import Problem

from .axes import Axis, phases
from .runtime import Source
from .variants import TILED_DTYPES, Tile, source, tiles_for

__all__ = ["Launch", "Plan", "plan"]

THREADS = 256
MOST_BLOCKS = 2**31 - 1
DIRECT_BLOCKS = 2**16  # each thread goes on to further elements
FEW_WEIGHTS = 64  # of a group's kernels in one tap: too few for a matrix product
BLOCKS_WANTED = 512  # enough for the largest device, twice
LEAST_PART = 1024  # pixels of a part of grad_weight


@dataclass(frozen=True)
class Launch:
    """One kernel, without its index type: which arrays it gets decides that."""

    file: str
    name: str
    options: tuple[str, ...]
    blocks: int
    threads: int
    axes: tuple[Axis, Axis] | None = None

    def source(self, dtype: str, index: str) -> Source:
        """Return the kernel for a type of elements and of indices."""
        return source(self.file, self.name, dtype, index, *self.options)


@dataclass(frozen=True)
class Plan:
    """What the engine does for a problem."""

    algorithm: str
    launches: tuple[Launch, ...]
    tile: Tile | None = None
    parts: int = 1
    part_pixels: int = 0
    workspace_bytes: int = 0

    @property
    def described(self) -> str:
        """The algorithm, and after a comma how its work is shared out."""
        blocks = sum(launch.blocks for launch in self.launches)
        tile = f"tiles of {self.tile.m} by {self.tile.n}, " if self.tile else ""
        parts = f"{self.parts} parts, " if self.parts > 1 else ""
        kernels = f"{len(self.launches)} launch{'es' * (len(self.launches) != 1)}"
        return f"{self.algorithm}, {tile}{parts}{blocks} blocks in {kernels}"


@functools.lru_cache(maxsize=1024)
def plan(problem: Problem, workspace_limit: int) -> Plan:
    """Return the plan for a problem that keeps to `workspace_limit` bytes of memory beyond its arrays."""
    if problem.primitive == "grad_weight":
        return _weight_plan(problem, workspace_limit)
    return _correlation_plan(problem)


def _correlation_plan(problem: Problem) -> Plan:
    groups = problem.groups
    inward, outward = problem.in_channels // groups, problem.out_channels // groups
    M, C = (inward, outward) if problem.primitive == "grad_input" else (outward, inward)
    parts = phases(problem) if math.prod(problem.result_shape) else []
    parts = [(rows, columns) for rows, columns in parts if rows.outputs and columns.outputs]
    planes, areas = problem.batch * groups * M, [rows.outputs * columns.outputs for rows, columns in parts]
    tiled = problem.dtype in TILED_DTYPES
    if tiled and C == 1:
        blocks = [planes * -(-area // THREADS) for area in areas]
        if max(blocks, default=0) <= MOST_BLOCKS:
            launches = _launches("depthwise.cu", "depthwise_correlate", (), blocks, THREADS, parts)
            return Plan("depthwise", launches)
    if tiled and M * C > 4:
        tile = _tile(problem.dtype, M, problem.batch * max(areas, default=0))
        channel_tiles = groups * -(-M // tile.m)
        blocks = [channel_tiles * -(-(problem.batch * area) // tile.n) for area in areas]
        if max(blocks, default=0) <= MOST_BLOCKS:
            options = (*tile.options, f"-DTAPS_OUTER={int(C % tile.k == 0 or 4 * tile.k <= C)}")
            launches = _launches("implicit_gemm.cu", "implicit_gemm", options, blocks, tile.threads, parts)
            return Plan("implicit_gemm", launches, tile)
    blocks = [min(DIRECT_BLOCKS, -(-(planes * area) // THREADS)) for area in areas]
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
        return -(-rows // tile.m) * tile.m * -(-columns // tile.n) * tile.n * (1 + 16 / tile.m + 16 / tile.n)

    return min(tiles_for(dtype), key=computed)


def _weight_plan(problem: Problem, workspace_limit: int) -> Plan:
    weights = math.prod(problem.result_shape)
    M, C = problem.out_channels // problem.groups, problem.in_channels // problem.groups
    small = C == 1 or M * C <= FEW_WEIGHTS
    if weights and problem.dtype in TILED_DTYPES and small and weights <= MOST_BLOCKS:
        return Plan("depthwise", (Launch("depthwise.cu", "depthwise_grad_weight", (), weights, THREADS),))
    pixels = problem.batch * math.prod(problem.output_size)
    if weights and pixels and problem.dtype in TILED_DTYPES:
        columns = weights // problem.out_channels
        tile = _tile(problem.dtype, M, columns)
        tiles = problem.groups * -(-M // tile.m) * -(-columns // tile.n)
        item = 8 if problem.dtype == "float64" else 4
        most = max(1, min(pixels // LEAST_PART, BLOCKS_WANTED // tiles, workspace_limit // (item * weights)))
        part_pixels = -(-pixels // most // tile.k) * tile.k
        part_pixels = max(tile.k, part_pixels)
        parts = -(-pixels // part_pixels)
        workspace = parts * weights * item
        if tiles * parts <= MOST_BLOCKS and columns < 2**30 and workspace <= workspace_limit:
            add = Launch(
                "grad_weight.cu", "add_parts", tiles_for(problem.dtype)[-1].options, -(-weights // 256), 256
            )
            multiply = Launch("grad_weight.cu", "grad_weight", tile.options, tiles * parts, tile.threads)
            return Plan("grad_weight", (multiply, add), tile, parts, part_pixels, workspace)
    blocks = min(DIRECT_BLOCKS, -(-weights // THREADS))
    launches = (Launch("direct.cu", "direct_grad_weight", (), blocks, THREADS),) if weights else ()
    return Plan("direct", launches)
