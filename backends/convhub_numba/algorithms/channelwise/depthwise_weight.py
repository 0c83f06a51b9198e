"""Computes the gradient of a depthwise layer's weight, with vectors of channels.

As in `depthwise`, planes are turned into pixels of `lanes` channels. The sums of several taps, `height` rows
of them by `vectors`, stay in registers, one vector each, while the pixels of ``dy`` and those of ``x`` that
they meet go by; pixels that meet only padding are left out. Blocks of rows are summed in groups (see
`chains`).
"""

from __future__ import annotations

from typing import NamedTuple

from ... import jit
from ...grad_weight import add_groups
from ...layout.pixels import clear, load_listed
from ...runtime.interrupts import told_to_stop
from ...vectors.half import narrowed
from ...vectors.weight_microkernel import weight_tile

__all__ = ["Sizes", "blocks_of", "correlate", "list_places"]


class Sizes(NamedTuple):
    """What the kernel must know of a problem and its blocking; lengths in elements."""

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
    group: int  # sums of blocks are added in groups of so many
    most_pixels: int  # of x, in a tile
    pad_items: int
    left_items: int


@jit.part()
def list_places(table, z, lanes):
    """List in `table` where the pixels of x go, those of dy, where each column of dy finds x; and leave room.

    Pixels of x whose columns differ by the dilation lie side by side: the taps of a row are neighbours.
    """
    places, left_places = table[: z.most_pixels], table[z.most_pixels :]
    columns, lines = (
        left_places[z.tile_rows * z.columns :],
        left_places[z.tile_rows * z.columns + z.columns :],
    )
    for i in range(z.most_pixels):
        column = z.left + i % z.source_columns
        place = i // z.source_columns * z.pitch
        place += column % z.dilation_w * z.phase_pitch + column // z.dilation_w
        places[i] = place * lanes
    for i in range(z.tile_rows * z.columns):
        left_places[i] = i * lanes
    for i in range(z.columns):
        column = i * z.step_w
        columns[i] = (column % z.dilation_w * z.phase_pitch + column // z.dilation_w) * lanes
    return places, left_places, columns, lines


@jit.part()
def blocks_of(rows, z):
    """Return in how many blocks so many rows of dy are summed."""
    across = (z.columns + z.block_columns - 1) // z.block_columns
    return (rows + z.block_rows - 1) // z.block_rows * across


@jit.kernel()
def correlate(
    first, last, watch, scratch, table, dw, dy, flat_dy, x, flat_x, row_groups, column_groups, z, dy_in_place,
    x_in_place, height, vectors, lanes,
):  # fmt: skip
    """Compute the weights of blocks `first` to `last` of `lanes` channels each.

    Each group of tap rows is in a row of `row_groups`: the first one, and from which row of ``dy`` to which
    some of them meets ``x``; `column_groups` is alike. The other arguments are those of
    `grad_weight.correlate`.
    """
    C, H, W, R, S = z.channels, z.source_rows, z.source_columns, z.row_taps, z.column_taps
    pad, left = scratch[: z.pad_items], scratch[z.pad_items : z.pad_items + z.left_items]
    items = row_groups.shape[0] * column_groups.shape[0] * height * vectors * lanes
    sums = scratch[z.pad_items + z.left_items :]
    sums, totals = sums[:items], sums[items : 2 * items]
    places, left_places, columns, lines = list_places(table, z, lanes)
    row_items = z.pitch * lanes
    pad[:] = 0  # the margins of each row are never written
    tile_taps = height * vectors
    for block in range(first, last):
        c0 = min(block * lanes, C - lanes)  # the last block computes some channels twice
        sums[:] = 0
        totals[:] = 0
        block_number = 0
        for n in range(z.images):
            for p0 in range(0, z.rows, z.tile_rows):
                if told_to_stop(watch):
                    return
                p1 = min(z.rows, p0 + z.tile_rows)
                h0 = max(-z.top, p0 * z.step_h - z.shift_h)
                h1 = min(H + z.bottom, (p1 - 1) * z.step_h + (R - 1) * z.dilation_h - z.shift_h + 1)
                first_h, last_h = max(h0, 0), min(h1, H)
                if h0 >= h1:
                    continue
                clear(pad, 0, (min(first_h, h1) - h0) * row_items)
                clear(pad, (max(last_h, h0) - h0) * row_items, (h1 - h0) * row_items)
                load_listed(pad, (first_h - h0) * row_items, places, x, n, c0, lanes, first_h,
                            max(0, last_h - first_h) * W, lines, lanes)  # fmt: skip
                load_listed(left, 0, left_places, dy, n, c0, lanes, p0, (p1 - p0) * z.columns, lines, lanes)
                for i in range(row_groups.shape[0]):
                    r0 = row_groups[i, 0]
                    a0, a1 = max(p0, row_groups[i, 1]), min(p1, row_groups[i, 2])
                    for j in range(column_groups.shape[0]):
                        s0, b0, b1 = column_groups[j, 0], column_groups[j, 1], column_groups[j, 2]
                        to = (i * column_groups.shape[0] + j) * tile_taps * lanes
                        for a in range(a0, a1, z.block_rows):
                            h = a * z.step_h + r0 * z.dilation_h - z.shift_h
                            for b in range(b0, b1, z.block_columns):
                                weight_tile(
                                    sums, to, left, ((a - p0) * z.columns + b) * lanes, z.columns * lanes,
                                    pad, (h - h0) * row_items + s0 * lanes, z.step_h * row_items,
                                    z.dilation_h * row_items, columns, b, min(z.block_rows, a1 - a),
                                    min(z.block_columns, b1 - b), height, vectors, lanes, lanes,
                                )  # fmt: skip
                block_number += blocks_of(p1 - p0, z)
                if block_number >= z.group:
                    add_groups(totals, sums, items)
                    block_number = 0
        add_groups(totals, sums, items)
        for i in range(row_groups.shape[0]):
            for j in range(column_groups.shape[0]):
                start = (i * column_groups.shape[0] + j) * tile_taps
                tap = row_groups[i, 0] * S + column_groups[j, 0]
                for k in range(lanes):
                    to = (c0 + k) * R * S + tap
                    for t in range(height):
                        for s in range(vectors):
                            value = totals[(start + t * vectors + s) * lanes + k]
                            dw[to + t * S + s] = narrowed(value, dw)
