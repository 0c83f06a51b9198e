"""Computes the weight gradient of 1 by 1 kernels as dot products of whole planes.

A plane of ``x`` needs no shifting here: its pixels are the lanes of vectors, read in place or from a copy of
every `stride`-th pixel. Turning them into panels, as `gemm.kernels_weight` does, would take part of the time.
Pixels are summed in blocks and blocks in groups, as there.
"""

from __future__ import annotations

from ... import jit
from ...layout.pack import WHOLE
from ...reduction import add_groups
from ...runtime.calls import call
from ...runtime.interrupts import told_to_stop
from ...vectors.dot_microkernel import dot_totals
from ...vectors.half import narrow_for

__all__ = ["correlate"]


@jit.kernel()
def correlate(
    first, last, watch, scratch, table, dw, dy, flat_dy, x, flat_x, taps, phases, sizes, planes_code,
    dy_in_place, x_in_place,
    height, width, lanes,
):  # fmt: skip
    """Compute tasks `first` to `last`; a task is a block of channels of ``x``, with all those of ``dy``.

    The arguments are those of `gemm.kernels_weight.correlate`; there is one group, and a tile is `height`
    channels of ``dy`` by `width` of ``x``. Sums are stored tile by tile.
    """
    M, C = sizes.out_channels, sizes.in_channels
    pad, at = scratch[: sizes.pad_items], sizes.pad_items
    left_scratch = scratch[at : at + sizes.left_items]
    at += sizes.left_items
    sums, totals = (
        scratch[at : at + sizes.sum_items],
        scratch[at + sizes.sum_items : at + 2 * sizes.sum_items],
    )
    offsets = table
    left = flat_dy if dy_in_place else left_scratch
    pixels_from = flat_x if x_in_place else pad
    tile_items = (height * width + lanes - 1) // lanes * lanes
    for task in range(first, last):
        c0 = task * sizes.block_columns
        c1 = min(C, c0 + sizes.block_columns)
        across = (c1 - c0 + width - 1) // width
        used = (M + height - 1) // height * across * tile_items
        sums[:used] = 0
        totals[:used] = 0
        block = 0
        for n in range(sizes.images):
            for a0 in range(0, sizes.rows, sizes.tile_rows):
                rows = min(sizes.rows - a0, sizes.tile_rows)
                pixels = rows * sizes.columns
                plane, start = pixels, 0
                if x_in_place:
                    plane = sizes.rows * sizes.columns
                    start = (n * C + c0) * plane + a0 * sizes.columns
                else:
                    call(planes_code, (
                        pad, x, n, n + 1, c0, c1, phases, sizes.step_h, sizes.step_w,
                        a0 + sizes.shift_h, rows, sizes.shift_w, sizes.columns, lanes,
                    ))  # fmt: skip
                for j in range(across * width):
                    offsets[j] = start + min(j, c1 - c0 - 1) * plane
                for m in range(0, M, height):
                    if told_to_stop(watch):
                        return
                    channels = min(height, M - m)
                    left_at, left_channel = 0, pixels
                    if dy_in_place:
                        left_channel = sizes.rows * sizes.columns
                        left_at = (n * M + m) * left_channel + a0 * sizes.columns
                    else:
                        call(planes_code, (
                            left_scratch, dy, n, n + 1, m, m + channels, WHOLE, 1, 1,
                            a0, rows, 0, sizes.columns, lanes,
                        ))  # fmt: skip
                    to = m // height * across * tile_items
                    for j in range(across):
                        dot_totals(sums, to + j * tile_items, left, left_at, channels, left_channel, 0,
                                   pixels_from, 0, 0, offsets, j * width, 1, pixels, height, width,
                                   lanes)  # fmt: skip
                block += 1
                if block == sizes.group:
                    add_groups(totals, sums, used, lanes)
                    block = 0
        add_groups(totals, sums, used, lanes)
        for m in range(M):
            for c in range(c1 - c0):
                tile = (m // height * across + c // width) * tile_items
                dw[m * C + c0 + c] = narrow_for(totals[tile + m % height * width + c % width], dw)
