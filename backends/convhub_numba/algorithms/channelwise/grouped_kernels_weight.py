"""Computes the weight gradient of small groups, with vectors of a group's output channels.

As in `grouped_kernels`, planes are turned into pixels. The sums of `height` taps, one below the other, by
`vectors` input channels stay in registers, each a vector of output channels, during the loop over the pixels
of ``dy`` and those of ``x`` that they meet; pixels that meet only padding are left out. Blocks of rows are
summed in groups (see `chains`).
"""

from __future__ import annotations

from typing import NamedTuple

from ... import jit
from ...layout.pixels import clear, load_listed
from ...reduction import add_groups
from ...runtime.interrupts import told_to_stop
from ...vectors.half import narrow_for
from ...vectors.weight_microkernel import weight_tile
from .depthwise_kernels_weight import blocks_of, list_places

__all__ = ["Sizes", "correlate"]


class Sizes(NamedTuple):
    """The kernel's parameters for a problem and its blocking; lengths in elements."""

    images: int
    out_channels: int  # of one group
    in_channels: int  # of one group
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
    plane_items: int  # of a tile's x, for one vector of channels
    pad_items: int
    left_plane: int
    left_items: int
    sum_items: int


@jit.part()
def store(dw, sums, g, sizes, row_groups, column_groups, height, vectors, lanes):
    """Store the sums ``[out vector, in block, row group, column, tap, in channel, lane]`` of one group."""
    M, C, R, S = sizes.out_channels, sizes.in_channels, sizes.row_taps, sizes.column_taps
    at = 0
    for m0 in range(0, M, lanes):
        for c0 in range(0, C, vectors):
            for i in range(row_groups.shape[0]):
                for j in range(column_groups.shape[0]):
                    for t in range(height):
                        tap = (row_groups[i, 0] + t) * S + column_groups[j, 0]
                        for c in range(min(vectors, C - c0)):
                            for m in range(min(lanes, M - m0)):
                                to = ((g * M + m0 + m) * C + c0 + c) * R * S + tap
                                dw[to] = narrow_for(sums[at + (t * vectors + c) * lanes + m], dw)
                    at += height * vectors * lanes


@jit.kernel()
def correlate(
    first, last, watch, scratch, table, dw, dy, flat_dy, x, flat_x, row_groups, column_groups, sizes,
    dy_in_place,
    x_in_place, height, vectors, lanes,
):  # fmt: skip
    """Compute the weights of groups `first` to `last`; the arguments are those of `depthwise_kernels_weight`.

    Each group in `column_groups` has one tap; `vectors`, which divides `lanes`, is how many input channels
    are summed at once.
    """
    M, C, H, W = sizes.out_channels, sizes.in_channels, sizes.source_rows, sizes.source_columns
    pad, left = scratch[: sizes.pad_items], scratch[sizes.pad_items : sizes.pad_items + sizes.left_items]
    sums = scratch[sizes.pad_items + sizes.left_items :]
    sums, totals = sums[: sizes.sum_items], sums[sizes.sum_items : 2 * sizes.sum_items]
    places, left_places, columns, lines = list_places(table, sizes, lanes)
    row_items = sizes.pitch * lanes
    pad[:] = 0  # the margins of each row are never written
    for g in range(first, last):
        sums[:] = 0
        totals[:] = 0
        block = 0
        for n in range(sizes.images):
            for p0 in range(0, sizes.rows, sizes.tile_rows):
                if told_to_stop(watch):
                    return
                p1 = min(sizes.rows, p0 + sizes.tile_rows)
                h0 = max(-sizes.top, p0 * sizes.step_h - sizes.shift_h)
                h1 = (p1 - 1) * sizes.step_h + (sizes.row_taps - 1) * sizes.dilation_h - sizes.shift_h + 1
                h1 = min(H + sizes.bottom, h1)
                first_h, last_h = max(h0, 0), min(h1, H)
                if h0 >= h1:
                    continue
                for c in range(0, C, lanes):
                    at = c // lanes * sizes.plane_items
                    clear(pad, at, at + (min(first_h, h1) - h0) * row_items)
                    clear(pad, at + (max(last_h, h0) - h0) * row_items, at + (h1 - h0) * row_items)
                    load_listed(
                        pad, at + (first_h - h0) * row_items, places, x, n, g * C + c, min(lanes, C - c),
                        first_h, max(0, last_h - first_h) * W, lines, lanes,
                    )  # fmt: skip
                for m in range(0, M, lanes):
                    load_listed(
                        left, m // lanes * sizes.left_plane, left_places, dy, n, g * M + m,
                        min(lanes, M - m), p0, (p1 - p0) * sizes.columns, lines, lanes,
                    )  # fmt: skip
                # Few rows at a time, so that they stay in a first-level cache for all taps and channels.
                for q0 in range(p0, p1, sizes.block_rows):
                    to = 0
                    for m in range(0, M, lanes):
                        for c in range(0, C, vectors):
                            plane = c // lanes * sizes.plane_items + c % lanes
                            for i in range(row_groups.shape[0]):
                                a0 = max(q0, row_groups[i, 1])
                                a1 = min(q0 + sizes.block_rows, p1, row_groups[i, 2])
                                h = (
                                    a0 * sizes.step_h
                                    + row_groups[i, 0] * sizes.dilation_h
                                    - sizes.shift_h
                                    - h0
                                )
                                for j in range(column_groups.shape[0]):
                                    b0, b1 = column_groups[j, 1], column_groups[j, 2]
                                    if a0 < a1:
                                        for b in range(b0, b1, sizes.block_columns):
                                            weight_tile(
                                                sums, to, left,
                                                m // lanes * sizes.left_plane
                                                + ((a0 - p0) * sizes.columns + b) * lanes,
                                                sizes.columns * lanes, pad,
                                                plane + h * row_items + column_groups[j, 0] * lanes,
                                                sizes.step_h * row_items, sizes.dilation_h * row_items,
                                                columns, b,
                                                a1 - a0, min(sizes.block_columns, b1 - b), height, vectors, 1,
                                                lanes,
                                            )  # fmt: skip
                                    to += height * vectors * lanes
                block += blocks_of(p1 - p0, sizes)
                if block >= sizes.group:
                    add_groups(totals, sums, sizes.sum_items, lanes)
                    block = 0
        add_groups(totals, sums, sizes.sum_items, lanes)
        store(dw, totals, g, sizes, row_groups, column_groups, height, vectors, lanes)
