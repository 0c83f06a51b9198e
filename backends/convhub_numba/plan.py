"""Which algorithm runs a problem, in which blocks and on how many threads. Plans are cached.

=========  =====================================================================================
winograd   forward and grad_input of dense 3 by 3 and 5 by 5 kernels of many channels
gemm       matrix products on panels of gathered pixels: `gemm`, `grad_weight`
depthwise  forward and grad_input of depthwise layers, with vectors of channels
indirect   forward and grad_input of groups with few output channels, with vectors of pixels
stem       forward and grad_weight of layers with few input channels, with vectors of pixels
phases     grad_input with a stride of layers with few input channels, all phases of a row at once
pointwise  grad_weight of 1 by 1 kernels, on images that are not small
dot        grad_weight of groups with few channels
direct     loops without scratch, where the workspace limit leaves no room for anything else
=========  =====================================================================================

The blocks of terms, which decide the bits of a result, depend on the problem and the vector's length alone;
threads and workspace limit only move the tiles of outputs.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

from convhub.backend import RunOptions
from convhub.problem import Problem

from . import Options, blocking
from .blocking import Stage, Tile
from .blocking_depthwise import depthwise_stage, outputs_at_once
from .blocking_phases import phases_stage, phases_tile
from .blocking_pointwise import pointwise_stage, pointwise_tile
from .blocking_stem import stem_dots_stage, stem_dots_tile, stem_stage, suits_stem
from .correlation import Correlation, correlations, regions
from .narrow import is_narrow_dtype, sum_dtype
from .threads import usable_threads
from .vector_ir import host_vector_bits

__all__ = ["Plan", "plan"]

#: Below about 0.15 ms on one core, waking a thread costs more than it saves.
SMALL_WORK = 4_000_000
MANY_THREADS = 64  # whose tiles are the smallest
MACS_PER_ELEMENT = 8  # moving an element through memory takes about as long as so many multiply-adds
WINOGRAD_OUTPUTS = {3: (4, 2), 5: (2,)}  # sides of tiles, by the kernel's
WINOGRAD_CHANNELS = 16
WINOGRAD_SAVING = 1.8  # of multiply-adds, by which the extra passes over memory are paid
TRANSFORM_MACS = 24  # transforming an element of a tile takes about as long as so many multiply-adds
WEIGHT_TILES = 16
DOT_CHANNELS = 8
FEW_TAPS = 12  # of a depthwise kernel
INDIRECT_VECTORS = {1: 8, 2: 6, 3: 4, 4: 3}  # by a group's output channels: tiles that fit 16 registers


@dataclass(frozen=True)
class Plan:
    """What the engine does for a problem."""

    algorithm: str
    tile: Tile
    threads: int
    stages: tuple[Stage, ...] = ()
    outputs: int = 0  # side of Winograd's tiles

    @property
    def scratch_bytes(self) -> int:
        """Scratch memory of all threads together, and the tables."""
        each = (stage.items * self.tile.item + stage.integers * 8 for stage in self.stages)
        shared = sum(stage.table_bytes + stage.shared_items * self.tile.item for stage in self.stages)
        return self.threads * max(each, default=0) + shared


@functools.lru_cache(maxsize=1024)
def plan(problem: Problem, options: RunOptions, vector_bits: int = 0) -> Plan:
    """Return the plan for a problem; `vector_bits` 0 means this machine's own vectors."""
    own = options.backend or Options()
    bits = vector_bits or own.vector_bits or host_vector_bits()
    item = sum_dtype(problem.dtype).itemsize
    tile = Tile(8 if bits == 512 else 4, 3, bits // 8 // item, item)
    allowed = usable_threads(options.threads)
    threads = allowed if _work(problem) >= SMALL_WORK else 1
    transforming = options.accuracy != "strict" and own.winograd != "never"
    if transforming:
        # Whether it fits must not depend on the threads, or the bits would.
        least = _winograd(problem, tile, 1, always=own.winograd == "always")
        transforming = least is not None and least.scratch_bytes <= options.workspace_limit
    for count in range(threads, 0, -1):
        made = None
        if transforming:
            made = _winograd(problem, tile, count, always=True)
        made = made or _made(problem, tile, count)
        if made.scratch_bytes <= options.workspace_limit:
            return made
    smallest = replace(_made(problem, tile, MANY_THREADS), threads=1)
    if smallest.scratch_bytes <= options.workspace_limit:
        return smallest
    return Plan("direct", tile, allowed)


def _work(problem: Problem) -> int:
    """Return a guess of the work, in multiply-adds."""
    elements = math.prod(problem.input_shape) + math.prod(problem.output_shape)
    return problem.macs + MACS_PER_ELEMENT * elements


def _made(problem: Problem, tile: Tile, threads: int) -> Plan:
    if problem.primitive == "grad_weight":
        M, C = problem.out_channels // problem.groups, problem.in_channels // problem.groups
        taps = problem.kernel_size[0] * problem.kernel_size[1]
        at_once = 9 if taps > 6 else 3  # one register each; as many as a 3 by 3 kernel has
        if C == M == 1 or (M <= DOT_CHANNELS and 3 * (-taps % at_once) <= taps):
            tile = replace(tile, height=1, vectors=at_once)
            return Plan("dot", tile, threads, (blocking.dot_stage(problem, tile),))
        dots = stem_dots_tile(problem, tile, wide=tile.lanes * tile.item == 64)
        if dots is not None:
            return Plan("stem", dots, threads, (stem_dots_stage(problem, dots, threads),))
        pointwise = pointwise_tile(problem, tile, wide=tile.lanes * tile.item == 64)
        if pointwise is not None:
            return Plan("pointwise", pointwise, threads, (pointwise_stage(problem, pointwise, threads),))
        return Plan("gemm", tile, threads, (blocking.grad_weight_stage(problem, tile, threads),))
    if problem.primitive == "grad_input":
        narrow_tile = phases_tile(problem, tile, wide=tile.lanes * tile.item == 64)
        if narrow_tile is not None:
            return Plan("phases", narrow_tile, threads, (phases_stage(problem, narrow_tile, threads),))
    parts = correlations(problem)
    if problem.primitive == "forward" and suits_stem(problem, tile):
        return Plan("stem", tile, threads, (stem_stage(problem, parts[0], tile, threads),))
    if _suits_channels(problem, parts, tile):
        tile = replace(tile, height=1, vectors=outputs_at_once(parts))
        return Plan("depthwise", tile, threads, (depthwise_stage(problem, parts, tile, threads),))
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


def _suits_channels(problem: Problem, parts: tuple[Correlation, ...], tile: Tile) -> bool:
    """Say whether a layer is depthwise, and vectors of channels are likely faster than vectors of pixels.

    They cost two transpositions, which pay unless the taps are few, side by side, and the rows long.
    """
    if not (problem.in_channels == problem.out_channels == problem.groups >= tile.lanes and parts):
        return False
    axes = [axis for part in parts for axis in (part.rows, part.columns)]
    together = all(axis.step == axis.source_step == 1 for axis in axes)
    long = all(part.columns.count >= 2 * tile.lanes for part in parts)
    taps = problem.kernel_size[0] * problem.kernel_size[1]
    return not (together and long and taps <= FEW_TAPS)


def _winograd(problem: Problem, tile: Tile, threads: int, always: bool) -> Plan | None:
    """Return a plan by Winograd's algorithm where it is the faster one (or can run at all), else None."""
    taps = problem.kernel_size[0]
    dense = problem.stride == problem.dilation == (1, 1)
    if problem.primitive == "grad_weight" or problem.kernel_size != (taps, taps) or not dense:
        return None
    if taps not in WINOGRAD_OUTPUTS or not problem.batch or is_narrow_dtype(problem.dtype):
        return None
    (part,) = correlations(problem)
    channels = min(part.out_channels, part.source_channels)
    if channels < WINOGRAD_CHANNELS and not always:
        return None
    outputs, tiles, saved = _winograd_tiles(problem, part, taps)
    if saved < WINOGRAD_SAVING and not always:
        return None
    tile = replace(tile, height=min(tile.height, tile.lanes), vectors=min(3, -(-tiles // tile.lanes)))
    stage = blocking.winograd_stage(problem, part, tile, outputs, threads)
    return Plan("winograd", tile, threads, (stage,), outputs)


def _winograd_tiles(problem: Problem, part: Correlation, taps: int) -> tuple[int, int, float]:
    """Return the best side of tiles, how many there are, and how many times less work they are.

    The weight's transform counts as `WEIGHT_TILES` tiles more; those of source and output are shared by all
    the channels of the other side.
    """
    shared = TRANSFORM_MACS * (1 / part.out_channels + 1 / part.source_channels)
    best = (0, 0, 0.0)
    for outputs in WINOGRAD_OUTPUTS[taps]:
        across = -(-part.rows.count // outputs), -(-part.columns.count // outputs)
        tiles = problem.batch * across[0] * across[1]
        pixels = problem.batch * part.rows.count * part.columns.count
        points = (outputs + taps - 1) ** 2
        saved = taps**2 * pixels / (points * (tiles * (1 + shared) + WEIGHT_TILES))
        if saved > best[2]:
            best = outputs, tiles, saved
    return best
