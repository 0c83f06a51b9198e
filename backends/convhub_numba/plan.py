"""Chooses the algorithm that runs a problem, its blocks and its threads. Plans are cached.

=============  ==================================================================================
winograd       small kernels of many channels; for grad_weight: `winograd/kernels_weight`
implicit_gemm  many channels, pixels of channels as they lie; for grad_weight: `implicit_gemm/kernels_weight`
gemm           matrix products on panels of gathered pixels: `gemm`, `grad_weight`
depthwise      depthwise layers, with vectors of channels; for grad_weight: `depthwise_weight`
grouped        small groups, with vectors of a group's channels; for grad_weight: `grouped_weight`
indirect       forward and grad_input of groups with few output channels, with vectors of pixels
stem           forward and grad_weight of layers with few input channels, with vectors of pixels
phases         grad_input with a stride of layers with few input channels, all phases of a row at once
pointwise      grad_weight of 1 by 1 kernels, on images that are not small
dot            grad_weight of groups with few channels
direct         loops without scratch, where the workspace limit leaves no room for anything else, and for
               grad_input with a stride that makes more than a thousand phases
=============  ==================================================================================

The blocks of terms, which decide the bits of a result, depend on the problem, on the vector's length and on
the algorithm; threads only move the tiles of outputs. The workspace limit decides no bits as long as it holds
what the plan for one thread takes (`Plan.scratch_bytes`, which ``CONVHUB_THREADS=1 convhub explain PROBLEM``
shows). Below that it may choose another algorithm, whose sums are blocked in another way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from convhub.backend import Problem, RunOptions, bounded_cache

from . import blocking
from .algorithms.channelwise.blocks import by_channels
from .algorithms.implicit_gemm.blocks import implicit_stage
from .algorithms.implicit_gemm.blocks_weight import implicit_weight_stage
from .algorithms.phases.blocks import phases_stage, phases_tile
from .algorithms.pointwise.blocks import pointwise_stage, pointwise_tile
from .algorithms.stem.blocks import stem_dots_stage, stem_dots_tile, stem_stage, suits_stem
from .algorithms.winograd.blocks import AxisTiles, best_tiling, register_tile, winograd_stage
from .algorithms.winograd.blocks_weight import best_weight_tiling, weight_register_tile, winograd_weight_stage
from .algorithms.winograd.matrices import Scheme
from .blocking import Stage, Tile
from .correlation import Correlation, correlations, count_phases, regions, suits_regions
from .options import Options
from .runtime.threads import usable_threads
from .tiling import round_up
from .vectors.emitter import host_vector_bits
from .vectors.half import is_narrow_dtype, sum_dtype

__all__ = ["Plan", "plan", "prepared"]

#: Below about 20 µs on one core, waking a thread costs more than it saves.
SMALL_WORK = 1_000_000
WINOGRAD_WORK = 3  # times more work in the same time
MANY_THREADS = 64  # whose tiles are the smallest
MOST_PHASES = 1024  # each of which is a stage of `gemm` that takes a third of a millisecond to plan
MACS_PER_ELEMENT = 8  # moving an element through memory takes about as long as so many multiply-adds
WINOGRAD_CHANNELS = 16
WINOGRAD_SAVING = 1.05  # of time
DOT_CHANNELS = 8
FEW_PIXELS = 64  # of an image
INDIRECT_VECTORS = {1: 8, 2: 6, 3: 4, 4: 3}  # by a group's output channels: tiles that fit 16 registers


@dataclass(frozen=True)
class Plan:
    """What the engine does for a problem."""

    algorithm: str
    tile: Tile
    threads: int
    stages: tuple[Stage, ...] = ()
    schemes: tuple[Scheme, ...] = ()  # of Winograd's tiles, by axis

    @property
    def described(self) -> str:
        """The algorithm, and after a comma its tiles and how its work is shared out."""
        if self.algorithm == "direct":
            return self.algorithm
        outputs, taps = ("x".join(str(side[i]) for side in self.schemes) for i in (0, 1))
        tiles = f"{outputs} outputs of {taps} taps, " if self.schemes else ""
        tile, tasks = self.tile, sum(stage.tasks for stage in self.stages)
        return (
            f"{self.algorithm}, {tiles}{tile.height} by {tile.vectors} registers of "
            f"{8 * tile.item * tile.lanes} bits, {tasks} task{'s' * (tasks != 1)} on {self.threads} "
            f"thread{'s' * (self.threads != 1)}, {self.scratch_bytes / 2**20:.1f} MiB of scratch"
        )

    @property
    def scratch_bytes(self) -> int:
        """Scratch memory of all threads together, and the tables."""
        each = (stage.items * self.tile.item + stage.integers * 8 for stage in self.stages)
        shared = sum(stage.table_bytes + stage.shared_items * self.tile.item for stage in self.stages)
        return self.threads * max(each, default=0) + shared


#: What the engine has prepared of plans, found by identity; it is cleared with them.
prepared: dict[Any, Any] = {}


@bounded_cache(clear=prepared.clear)
def plan(problem: Problem, options: RunOptions, vector_bits: int = 0) -> Plan:
    """Return the plan for a problem; `vector_bits` 0 means this machine's own vectors."""
    own = options.backend or Options()
    bits = vector_bits or own.vector_bits or host_vector_bits()
    item = sum_dtype(problem.dtype).itemsize
    tile = Tile(8 if bits == 512 else 4, 3, bits // 8 // item, item)
    allowed, limit = usable_threads(options.threads), options.workspace_limit
    transforming = options.accuracy != "strict" and own.winograd != "never"
    tiling = None
    if transforming:
        pixel_tile = _pixel_tile(problem, tile)
        tiling = _winograd(problem, pixel_tile, always=own.winograd == "always")
        # Whether it fits must not depend on the threads, or the bits would.
        if tiling and _transforming(problem, tiling, pixel_tile, 1).scratch_bytes > options.workspace_limit:
            tiling = None
    small = _work(problem) < SMALL_WORK * (WINOGRAD_WORK if tiling else 1)
    for count in range(1 if small else allowed, 0, -1):
        made = (
            _transforming(problem, tiling, pixel_tile, count)
            if tiling
            else _made(problem, tile, count, limit)
        )
        if made.scratch_bytes <= options.workspace_limit:
            return made
    smallest = replace(_made(problem, tile, MANY_THREADS, limit), threads=1)
    if smallest.scratch_bytes <= options.workspace_limit:
        return smallest
    return Plan("direct", tile, allowed)


def _work(problem: Problem) -> int:
    """Return a guess of the work, in multiply-adds."""
    elements = math.prod(problem.input_shape) + math.prod(problem.output_shape)
    return problem.macs + MACS_PER_ELEMENT * elements


def _made(problem: Problem, tile: Tile, threads: int, limit: int) -> Plan:
    if count_phases(problem) > MOST_PHASES:
        parts = correlations(problem, reached=True)
        if len(parts) > MOST_PHASES:
            return Plan("direct", tile, threads)
        stages = tuple(blocking.gemm_stage(problem, part, tile, threads) for part in parts)
        return Plan("gemm", tile, threads, stages)
    made = by_channels(problem, tile, threads)
    if made:
        return Plan(made.algorithm, made.tile, threads, (made.stage,))
    if problem.primitive == "grad_weight":
        return _made_weight(problem, tile, threads, limit)
    if problem.primitive == "grad_input":
        narrow_tile = phases_tile(problem, tile)
        if narrow_tile is not None:
            return Plan("phases", narrow_tile, threads, (phases_stage(problem, narrow_tile, threads),))
    parts = correlations(problem)
    if problem.primitive == "forward" and suits_stem(problem, tile):
        return Plan("stem", tile, threads, (stem_stage(problem, parts[0], tile, threads),))
    if _suits_pixels(problem, parts, tile):
        pixel_tile = register_tile(parts[0].out_channels, tile)
        if _fits("implicit_gemm", pixel_tile, implicit_stage(problem, parts, pixel_tile, 1), limit):
            stage = implicit_stage(problem, parts, pixel_tile, threads)
            return Plan("implicit_gemm", pixel_tile, threads, (stage,))
    # What no tap reaches is only bias: the engine fills it in.
    parts = tuple(part for part in parts if part.taps)
    channels = parts[0].out_channels if parts else 0
    if channels in INDIRECT_VECTORS:
        narrow = replace(tile, height=channels, vectors=INDIRECT_VECTORS[channels])
        stages = tuple(blocking.indirect_stage(problem, part, narrow, threads) for part in parts)
        if channels <= 2 or all(2 * part.columns.count >= tile.lanes for part in parts):
            return Plan("indirect", narrow, threads, stages)
    pieces = [piece for part in parts for piece in regions(part) if piece.taps]
    stages = tuple(blocking.gemm_stage(problem, piece, tile, threads) for piece in pieces)
    return Plan("gemm", tile, threads, stages)


def _made_weight(problem: Problem, tile: Tile, threads: int, limit: int) -> Plan:
    C, M = problem.group_channels
    taps = problem.kernel_size[0] * problem.kernel_size[1]
    at_once = 9 if taps > 6 else 3  # one register each; as many as a 3 by 3 kernel has
    if C == M == 1 or (M <= DOT_CHANNELS and 3 * (-taps % at_once) <= taps):
        tile = replace(tile, height=1, vectors=at_once)
        return Plan("dot", tile, threads, (blocking.dot_stage(problem, tile),))
    dots = stem_dots_tile(problem, tile)
    if dots is not None:
        return Plan("stem", dots, threads, (stem_dots_stage(problem, dots, threads),))
    pointwise = pointwise_tile(problem, tile)
    if pointwise is not None:
        return Plan("pointwise", pointwise, threads, (pointwise_stage(problem, pointwise, threads),))
    if min(M, C) >= tile.lanes and all(problem.result_shape) and problem.batch:
        pixel_tile = weight_register_tile(M, tile)
        suits = taps > 1 or _fills(M, pixel_tile)
        if suits and _fits("implicit_gemm", pixel_tile, implicit_weight_stage(problem, pixel_tile, 1), limit):
            stage = implicit_weight_stage(problem, pixel_tile, threads)
            return Plan("implicit_gemm", pixel_tile, threads, (stage,))
    return Plan("gemm", tile, threads, (blocking.grad_weight_stage(problem, tile, threads),))


def _suits_pixels(problem: Problem, parts: tuple[Correlation, ...], tile: Tile) -> bool:
    """Say whether vectors of output channels are likely faster than vectors of pixels.

    Turning planes into pixels pays where they are used several times, or where rows are short.
    """
    if not (problem.batch and any(part.taps for part in parts)):
        return False
    if min(parts[0].out_channels, parts[0].source_channels) < tile.lanes:
        return False
    pixels = math.prod(problem.result_shape[2:])
    if problem.batch * pixels < tile.lanes or problem.output_size == (1, 1):
        return False  # too few pixels to pack the weight for
    if any(suits_regions(part) for part in parts):
        return False  # `gemm` computes each region with the taps that meet the image
    if problem.kernel_size != (1, 1):
        return True
    return pixels <= FEW_PIXELS and _fills(parts[0].out_channels, register_tile(parts[0].out_channels, tile))


def _fits(algorithm: str, tile: Tile, stage: Stage, limit: int) -> bool:
    """Say whether a stage made for one thread fits: threads must not choose the algorithm, and the bits."""
    return Plan(algorithm, tile, 1, (stage,)).scratch_bytes <= limit


def _fills(channels: int, tile: Tile) -> bool:
    """Say whether the vectors of a register tile are nearly full."""
    return round_up(channels, tile.width) <= 1.2 * channels


def _transforming(problem: Problem, tiling: tuple[AxisTiles, AxisTiles], tile: Tile, threads: int) -> Plan:
    schemes = (tiling[0].scheme, tiling[1].scheme)
    stage = winograd_weight_stage if problem.primitive == "grad_weight" else winograd_stage
    return Plan("winograd", tile, threads, (stage(problem, tiling, tile, threads),), schemes)


def _pixel_tile(problem: Problem, tile: Tile) -> Tile:
    """Return the register tile where vectors run along output channels."""
    if problem.primitive == "grad_weight":
        return weight_register_tile(problem.group_channels[1], tile)
    return register_tile(problem.result_shape[1] // problem.groups, tile)


def _winograd(problem: Problem, tile: Tile, always: bool) -> tuple[AxisTiles, AxisTiles] | None:
    """Return how Winograd's algorithm tiles the result where it is the faster one (or can run at all)."""
    if is_narrow_dtype(problem.dtype):
        return None
    groups = problem.groups
    channels = min(problem.in_channels // groups, problem.out_channels // groups)
    if channels < WINOGRAD_CHANNELS and not always:
        return None
    best = (best_weight_tiling if problem.primitive == "grad_weight" else best_tiling)(problem, tile)
    if best is None or (best[0] < WINOGRAD_SAVING and not always):
        return None
    return best[1]
