"""Computes the gradient of a depthwise layer's weight, with vectors of channels.

As in `depthwise_kernels`, planes are turned into pixels of `lanes` channels. The sums of several taps,
`height` rows of them by `vectors`, stay in registers, one vector each, during the loop over the pixels of
``dy`` and those of ``x`` that they meet; pixels that meet only padding are left out. Blocks of rows are
summed in groups (see `chains`).
"""

from __future__ import annotations

from typing import NamedTuple

from ... import jit
from ...layout.pixels import clear, load_listed
from ...reduction import add_groups
from ...runtime.interrupts import told_to_stop
from ...vectors.moves import copy_strided
from ...vectors.weight_microkernel import weight_tile

__all__ = ["Sizes", "blocks_of", "correlate", "list_places"]


class Sizes(NamedTuple):
    """The kernel's parameters for a problem and its blocking; lengths in elements."""

    images: int
    channels: int
    rows: int  # of dy
    columns: int
    source_rows: int
    source_columns: int
    row_taps: int
    column_taps: int
    step_h: int  # of x
    step_w: int
    dilation_h: int
    dilation_w: int
    shift_h: int  # rows of padding above
    top: int  # rows of zeros that some tap reads above x
    bottom: int
    left: int  # columns of zeros before each row of x
    phase_pitch: int  # pixels from one phase of a row's columns, as the dilation has them, to the next
    pitch: int  # pixels from one row to the next
    tile_rows: int  # of dy
    block_rows: int  # of dy, whose products are summed at once
    block_columns: int
    group: int  # how many sums of blocks make a group
    most_pixels: int  # of x, in a tile
    pad_items: int
    left_items: int


@jit.part()
def list_places(table, sizes, lanes):
    """List in `table` where the pixels of x and dy go and each column of dy meets x; return the rest too.

    Pixels of x whose columns differ by the dilation lie side by side: the taps of a row are neighbours.
    """
    places, left_places = table[: sizes.most_pixels], table[sizes.most_pixels :]
    columns, lines = (
        left_places[sizes.tile_rows * sizes.columns :],
        left_places[sizes.tile_rows * sizes.columns + sizes.columns :],
    )
    for i in range(sizes.most_pixels):
        column = sizes.left + i % sizes.source_columns
        place = i // sizes.source_columns * sizes.pitch
        place += column % sizes.dilation_w * sizes.phase_pitch + column // sizes.dilation_w
        places[i] = place * lanes
    for i in range(sizes.tile_rows * sizes.columns):
        left_places[i] = i * lanes
    for i in range(sizes.columns):
        column = i * sizes.step_w
        columns[i] = (column % sizes.dilation_w * sizes.phase_pitch + column // sizes.dilation_w) * lanes
    return places, left_places, columns, lines


@jit.part()
def blocks_of(rows, sizes):
    """Return the number of blocks in which `rows` rows of dy are summed."""
    across = (sizes.columns + sizes.block_columns - 1) // sizes.block_columns
    return (rows + sizes.block_rows - 1) // sizes.block_rows * across


@jit.kernel()
def correlate(
    first, last, watch, scratch, table, dw, dy, flat_dy, x, flat_x, row_groups, column_groups, sizes,
    dy_in_place,
    x_in_place, height, vectors, lanes,
):  # fmt: skip
    """Compute the weights of blocks `first` to `last` of `lanes` channels each.

    Each row of `row_groups` is a group of tap rows: the first of them, and the range of rows of ``dy`` for
    which some of them meets ``x``; `column_groups` has the same form. The other arguments are those of
    `gemm.kernels_weight.correlate`.
    """
    C, H, W, R, S = sizes.channels, sizes.source_rows, sizes.source_columns, sizes.row_taps, sizes.column_taps
    pad, left = scratch[: sizes.pad_items], scratch[sizes.pad_items : sizes.pad_items + sizes.left_items]
    items = row_groups.shape[0] * column_groups.shape[0] * height * vectors * lanes
    sums = scratch[sizes.pad_items + sizes.left_items :]
    sums, totals = sums[:items], sums[items : 2 * items]
    places, left_places, columns, lines = list_places(table, sizes, lanes)
    row_items = sizes.pitch * lanes
    pad[:] = 0  # the margins of each row are never written
    tile_taps = height * vectors
    for block in range(first, last):
        c0 = min(block * lanes, C - lanes)  # the last block computes some channels twice
        sums[:] = 0
        totals[:] = 0
        block_number = 0
        for n in range(sizes.images):
            for p0 in range(0, sizes.rows, sizes.tile_rows):
                if told_to_stop(watch):
                    return
                p1 = min(sizes.rows, p0 + sizes.tile_rows)
                h0 = max(-sizes.top, p0 * sizes.step_h - sizes.shift_h)
                h1 = min(
                    H + sizes.bottom, (p1 - 1) * sizes.step_h + (R - 1) * sizes.dilation_h - sizes.shift_h + 1
                )
                first_h, last_h = max(h0, 0), min(h1, H)
                if h0 >= h1:
                    continue
                clear(pad, 0, (min(first_h, h1) - h0) * row_items)
                clear(pad, (max(last_h, h0) - h0) * row_items, (h1 - h0) * row_items)
                load_listed(pad, (first_h - h0) * row_items, places, x, n, c0, lanes, first_h,
                            max(0, last_h - first_h) * W, lines, lanes)  # fmt: skip
                load_listed(
                    left, 0, left_places, dy, n, c0, lanes, p0, (p1 - p0) * sizes.columns, lines, lanes
                )
                for i in range(row_groups.shape[0]):
                    r0 = row_groups[i, 0]
                    a0, a1 = max(p0, row_groups[i, 1]), min(p1, row_groups[i, 2])
                    for j in range(column_groups.shape[0]):
                        s0, b0, b1 = column_groups[j, 0], column_groups[j, 1], column_groups[j, 2]
                        to = (i * column_groups.shape[0] + j) * tile_taps * lanes
                        for a in range(a0, a1, sizes.block_rows):
                            h = a * sizes.step_h + r0 * sizes.dilation_h - sizes.shift_h
                            for b in range(b0, b1, sizes.block_columns):
                                weight_tile(
                                    sums, to, left, ((a - p0) * sizes.columns + b) * lanes,
                                    sizes.columns * lanes,
                                    pad, (h - h0) * row_items + s0 * lanes, sizes.step_h * row_items,
                                    sizes.dilation_h * row_items, columns, b, min(sizes.block_rows, a1 - a),
                                    min(sizes.block_columns, b1 - b), height, vectors, lanes, lanes,
                                )  # fmt: skip
                block_number += blocks_of(p1 - p0, sizes)
                if block_number >= sizes.group:
                    add_groups(totals, sums, items, lanes)
                    block_number = 0
        add_groups(totals, sums, items, lanes)
        for i in range(row_groups.shape[0]):
            for j in range(column_groups.shape[0]):
                start = (i * column_groups.shape[0] + j) * tile_taps
                tap = row_groups[i, 0] * S + column_groups[j, 0]
                for k in range(lanes):
                    to = (c0 + k) * R * S + tap
                    for t in range(height):
                        at = (start + t * vectors) * lanes + k
                        copy_strided(dw, to + t * S, totals, at, lanes, vectors)
