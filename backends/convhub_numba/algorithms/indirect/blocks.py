"""Chooses the sizes of tiles for groups with few output channels."""

from __future__ import annotations

from dataclasses import replace

from convhub.backend import Problem

from ...algorithm import Machine
from ...chains import block
from ...correlation import Correlation, correlations, too_many_phases
from ...planes import LONG_TILE_PIXELS, correlation_sizes, leaves_pixels, pixel_tile, planes_of
from ...stage import Plan, Stage, Tile
from ...tiling import LEAST_TILE_ROWS, PANEL_BYTES, ceil_div, shares_well

__all__ = ["make_plan"]

VECTORS = {1: 8, 2: 6, 3: 4, 4: 3}  # by a group's output channels: tiles that fit 16 registers


def make_plan(problem: Problem, machine: Machine, threads: int) -> Plan | None:
    """Return the plan of a forward or grad_input problem, if its groups have few output channels."""
    if too_many_phases(problem):
        return None
    # Pixels that no tap reaches are only bias.
    parts = tuple(part for part in correlations(problem) if part.taps)
    channels = parts[0].out_channels if parts else 0
    if channels not in VECTORS:
        return None
    tile = replace(machine.tile, height=channels, vectors=VECTORS[channels])
    if channels > 2 and any(2 * part.columns.count < tile.lanes for part in parts):
        return None
    stages = tuple(indirect_stage(problem, part, tile, threads) for part in parts)
    return Plan("indirect", tile, threads, stages, leaves_pixels(problem, stages))


def indirect_stage(problem: Problem, part: Correlation, tile: Tile, threads: int) -> Stage:
    """Return the blocks of `kernels.correlate`."""
    planes = planes_of(part, problem.dtype)
    A, B = part.rows.count, part.columns.count
    in_place = planes.inside and tile.lanes <= B
    copied = 0 if in_place else part.source_channels * tile.item
    tile_rows, tile_columns = pixel_tile(A, B, LONG_TILE_PIXELS, planes, copied)
    tile_groups = part.groups

    def tasks() -> int:
        tiles = problem.batch * ceil_div(A, tile_rows) * ceil_div(B, tile_columns)
        return tiles * ceil_div(part.groups, tile_groups)

    while problem.batch and not shares_well(tasks(), threads):
        if tile_groups > 1:
            tile_groups = ceil_div(tile_groups, 2)
        elif tile_rows > LEAST_TILE_ROWS:
            tile_rows = ceil_div(tile_rows, 2)
        else:
            break
    block_terms = block(part.terms, PANEL_BYTES // (24 * tile.lanes))
    sizes = correlation_sizes(
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
