"""Chooses the blocks in which the implicit matrix product runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from convhub.backend import Problem

from ...algorithm import Machine, fits_one_thread
from ...chains import block
from ...channel_tile import channel_tile, fills
from ...correlation import Correlation, clipped, correlations, suits_regions, too_many_phases
from ...stage import Plan, Stage, Tile
from ...tiling import LARGE_TILE_BYTES, ceil_div, even, round_up, shares_well
from . import kernels as implicit_gemm

__all__ = ["make_plan"]

FEW_PIXELS = 64  # of an image
TASK_PIXELS = 384  # of the output
CHAIN_TERMS = 192  # summed one after another


def make_plan(problem: Problem, machine: Machine, threads: int) -> Plan | None:
    """Return the plan of a forward or grad_input problem, if it suits and fits."""
    if too_many_phases(problem):
        return None
    parts = correlations(problem)
    if not suits(problem, parts, machine.tile):
        return None
    tile = channel_tile(parts[0].out_channels, machine.tile)

    def plan_for(count: int) -> Plan:
        return Plan("implicit_gemm", tile, count, (implicit_stage(problem, parts, tile, count),))

    return plan_for(threads) if fits_one_thread(plan_for(1), machine) else None


def suits(problem: Problem, parts: tuple[Correlation, ...], tile: Tile) -> bool:
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
    return pixels <= FEW_PIXELS and fills(parts[0].out_channels, channel_tile(parts[0].out_channels, tile))


def implicit_stage(problem: Problem, parts: tuple[Correlation, ...], tile: Tile, threads: int) -> Stage:
    """Return the blocks of `kernels.correlate`; `tile` is a `channel_tile`."""
    M, C = parts[0].out_channels, parts[0].source_channels
    lanes, images = tile.lanes, problem.batch
    out_rows, out_columns = problem.result_shape[2:]
    shifts_h = [shift for part in parts if part.taps for _, shift in part.rows.taps]
    shifts_w = [shift for part in parts if part.taps for _, shift in part.columns.taps]
    shift_h, shift_w = min(shifts_h), min(shifts_w)
    span_h, span_w = max(shifts_h) - shift_h, max(shifts_w) - shift_w
    rows, columns = parts[0].rows, parts[0].columns
    source_columns = (ceil_div(out_columns, columns.step) - 1) * columns.source_step + span_w + 1
    blocks = ceil_div(C, lanes)
    padded_out = round_up(M, tile.width)

    def source_items(block_rows: int) -> int:
        source_rows = (ceil_div(block_rows, rows.step) - 1) * rows.source_step + span_h + 1
        return source_rows * source_columns * blocks * lanes

    steps = ceil_div(out_rows, rows.step)
    most = max(1, min(steps, TASK_PIXELS // (out_columns * rows.step)))
    while most > 1 and source_items(most * rows.step) * tile.item > LARGE_TILE_BYTES:
        most = ceil_div(most, 2)
    block_steps = even(steps, most)
    block_images = 1
    if block_steps == steps and images:
        fitting = min(
            TASK_PIXELS // (out_columns * out_rows), LARGE_TILE_BYTES // (source_items(out_rows) * tile.item)
        )
        block_images = even(images, fitting)
    block_out = padded_out

    def tasks() -> int:
        return (
            ceil_div(images, block_images)
            * ceil_div(steps, block_steps)
            * problem.groups
            * ceil_div(M, block_out)
        )

    while images and not shares_well(tasks(), threads):
        if block_images > 1:
            block_images = ceil_div(block_images, 2)
        elif block_steps > 1 and block_steps * rows.step * out_columns > 8 * tile.height:
            block_steps = ceil_div(block_steps, 2)
        elif block_out > 2 * tile.width:
            block_out = ceil_div(block_out // tile.width, 2) * tile.width
        else:
            break
    block_rows = min(out_rows, block_steps * rows.step)
    table: list[Any] = []
    taps: list[Any] = []
    for part in parts:
        pairs = [(*row, *column) for row in part.rows.taps for column in part.columns.taps]
        axes = part.rows.first, part.rows.count, part.columns.first, part.columns.count
        table.append(implicit_gemm.Part(*axes, len(taps), len(pairs), len(part.rows.taps)))
        taps.extend((r, s, high - shift_h, wide - shift_w) for r, high, s, wide in pairs)
    pixels = block_images * block_rows * out_columns
    most_taps = max(part[5] for part in table)
    sizes = implicit_gemm.Sizes(
        images=images,
        groups=problem.groups,
        out_channels=M,
        source_channels=C,
        out_rows=out_rows,
        out_columns=out_columns,
        source_step_h=rows.source_step,
        source_step_w=columns.source_step,
        out_step_h=rows.step,
        out_step_w=columns.step,
        shift_h=shift_h,
        shift_w=shift_w,
        span_h=span_h,
        span_w=span_w,
        block_images=block_images,
        block_rows=block_rows,
        block_out=block_out,
        block_terms=even(blocks * most_taps, max(1, block(C * most_taps, CHAIN_TERMS) // lanes)),
        clips=int(any(clipped(part) for part in parts)),
        pixel_items=block_images * source_items(block_rows),
        out_items=pixels * block_out,
    )
    whole = problem.kernel_size[0] * problem.kernel_size[1] * lanes * lanes
    items = max(sizes.pixel_items + sizes.out_items + tile.width, 2 * whole)
    region = sizes.pixel_items // max(1, block_images) // (blocks * lanes)
    integers = max(2 * pixels + blocks * len(taps), lanes + region, 2 * lanes)
    return Stage(
        sizes, np.array(taps, np.int64), np.array(table, np.int64), tasks(), items, integers, False,
        shared_items=problem.groups * padded_out * len(taps) * C,
    )  # fmt: skip
