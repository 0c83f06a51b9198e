"""Decides which layers suit vectors of channels: depthwise ones, and those of small groups."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from convhub.backend import Problem

from ...blocking import Stage, Tile
from ...correlation import Correlation, correlations
from .depthwise_blocks import depthwise_stage, outputs_at_once
from .depthwise_weight_blocks import depthwise_weight_stage, sums_at_once
from .grouped_blocks import grouped_stage, grouped_tile, suits_groups
from .grouped_weight_blocks import grouped_weight_stage, grouped_weight_tile, weight_suits_groups

__all__ = ["ByChannels", "by_channels"]

FEW_TAPS = 12  # of a depthwise kernel
MOST_BYTES = 4 * 1024 * 1024  # of scratch: rows are taken whole, and may be too long for it


class ByChannels(NamedTuple):
    """What a plan is made of."""

    algorithm: str
    tile: Tile
    stage: Stage


def by_channels(problem: Problem, tile: Tile, threads: int) -> ByChannels | None:
    """Return how to run a problem with vectors of channels, if that is likely the fastest way."""
    # Where tiles become smaller with the threads, they are small enough with one.
    made = _weight(problem, tile) if problem.primitive == "grad_weight" else _made(problem, tile, threads)
    return made if made and made.stage.items * tile.item <= MOST_BYTES else None


def _weight(problem: Problem, tile: Tile) -> ByChannels | None:
    if _is_depthwise(problem, tile):
        height, vectors = sums_at_once(problem, tile)
        tile = replace(tile, height=height, vectors=vectors)
        return ByChannels("depthwise", tile, depthwise_weight_stage(problem, tile))
    if weight_suits_groups(problem):
        tile = grouped_weight_tile(problem, tile)
        return ByChannels("grouped", tile, grouped_weight_stage(problem, tile))
    return None


def _made(problem: Problem, tile: Tile, threads: int) -> ByChannels | None:
    parts = correlations(problem)
    if _is_depthwise(problem, tile) and parts and not _suits_pixels(problem, parts, tile):
        tile = replace(tile, height=1, vectors=outputs_at_once(parts))
        return ByChannels("depthwise", tile, depthwise_stage(problem, parts, tile, threads))
    if suits_groups(problem, parts, tile):
        tile = grouped_tile(parts, tile)
        return ByChannels("grouped", tile, grouped_stage(problem, parts, tile, threads))
    return None


def _is_depthwise(problem: Problem, tile: Tile) -> bool:
    """Say whether a layer is depthwise, with channels enough to fill a vector."""
    return problem.in_channels == problem.out_channels == problem.groups >= tile.lanes


def _suits_pixels(problem: Problem, parts: tuple[Correlation, ...], tile: Tile) -> bool:
    """Say whether vectors of pixels are likely faster for a depthwise layer.

    Those of channels cost two transpositions, which pay unless the taps are few, side by side, and the rows
    long.
    """
    axes = [axis for part in parts for axis in (part.rows, part.columns)]
    together = all(axis.step == axis.source_step == 1 for axis in axes)
    long = all(part.columns.count >= 2 * tile.lanes for part in parts)
    taps = problem.kernel_size[0] * problem.kernel_size[1]
    return together and long and taps <= FEW_TAPS
