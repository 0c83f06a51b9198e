"""Chooses the sizes of tiles and panels of matrix products on gathered pixels."""

from __future__ import annotations

import math

from convhub.backend import Problem

from ...algorithm import Machine
from ...chains import block
from ...correlation import MOST_PHASES, Correlation, correlations, regions, too_many_phases
from ...planes import TILE_PIXELS, correlation_sizes, leaves_pixels, pixel_tile, planes_of
from ...stage import Plan, Stage, Tile
from ...tiling import PANEL_BYTES, TILE_BYTES, ceil_div, even, round_up, shares_well
from ...vectors.half import is_narrow_dtype

__all__ = ["as_pixels", "make_plan"]


def make_plan(problem: Problem, machine: Machine, threads: int) -> Plan | None:
    """Return the plan of any forward or grad_input problem, unless a stride makes too many phases."""
    tile = machine.tile
    if too_many_phases(problem):
        pieces = list(correlations(problem, reached=True))
        if len(pieces) > MOST_PHASES:
            return None
    else:
        # Pixels that no tap reaches are only bias.
        parts = (part for part in correlations(problem) if part.taps)
        pieces = [piece for part in parts for piece in regions(part) if piece.taps]
    stages = tuple(gemm_stage(problem, piece, tile, threads) for piece in pieces)
    return Plan("gemm", tile, threads, stages, leaves_pixels(problem, stages))


def as_pixels(problem: Problem) -> Problem | None:
    """Return the problem with each element of the kernel as a channel, where each meets one pixel only.

    As a correlation, ``dx`` would take R * S times as many products, most of them with padding.
    """
    size = problem.kernel_size
    if problem.primitive != "grad_input" or size != problem.input_size or size == (1, 1):
        return None
    if any(map(any, problem.padding)) or problem.output_size != (1, 1) or problem.dilation != (1, 1):
        return None
    channels = problem.in_channels * math.prod(size)
    return problem.replace(
        in_channels=channels, input_size=(1, 1), kernel_size=(1, 1), stride=(1, 1), output_size=(1, 1)
    )


def gemm_stage(problem: Problem, part: Correlation, tile: Tile, threads: int) -> Stage:
    """Return the blocks of `gemm.kernels.correlate`."""
    planes = planes_of(part, problem.dtype)
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
    tile_rows, tile_columns = pixel_tile(A, B, most, planes, 0 if planes.inside else copied)
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
    sizes = correlation_sizes(
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
