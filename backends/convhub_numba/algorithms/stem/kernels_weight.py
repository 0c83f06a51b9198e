"""Computes the weight gradient of layers with few input channels as dot products of rows of pixels.

Few elements of ``dw`` share a pixel of ``x``, so turning pixels into panels, as `gemm.kernels_weight` does,
would take much of the time. Here the lanes are pixels, of several channels of ``dy`` and several shifted
planes of ``x`` at once; nothing is moved, and the lanes are added up at the end.

Each lane adds the pixels of a block of rows, then blocks in groups (see `chains`): always in the
same order, whatever the threads, and with an error that stays far below that of one long chain.
"""

from __future__ import annotations

from ... import jit
from ...layout.pack import WHOLE
from ...runtime.calls import call
from ...runtime.interrupts import told_to_stop
from ...vectors.dot_microkernel import add_across, dot_tile
from ...vectors.half import narrow_for

__all__ = ["correlate"]


@jit.part()
def add_block(
    sums, sums_at, stride, left, left_at, left_channel, left_row, right, right_at, right_row, offsets, filled,
    rows, columns, channels, height, width, lanes,
):  # fmt: skip
    """Add the products of one block's pixels for `channels` channels of ``dy``, `height` at most.

    `filled` is the number of elements in a row of ``dw``, a multiple of half of `width`. There is room for
    `height` rows of sums; those past `channels` are unused.
    """
    for j in range(0, filled, width):
        to = sums_at + j * lanes
        if j + width <= filled:
            dot_tile(sums, to, stride, left, left_at, channels, left_channel, left_row, right, right_at,
                     right_row, offsets, j, rows, columns, height, width, 1, lanes)  # fmt: skip
        else:
            dot_tile(sums, to, stride, left, left_at, channels, left_channel, left_row, right, right_at,
                     right_row, offsets, j, rows, columns, height, width, 2, lanes)  # fmt: skip


@jit.kernel()
def correlate(
    first, last, watch, scratch, table, dw, dy, flat_dy, x, flat_x, taps, phases, sizes, planes_code,
    dy_in_place, x_in_place,
    height, width, lanes,
):  # fmt: skip
    """Compute tasks `first` to `last`; a task is a block of channels of ``dy``, all rows of ``dw`` for them.

    The arguments are those of `gemm.kernels_weight.correlate`; there is one group, and a tile is `height`
    channels by `width` elements of a row of ``dw``. ``block_pixels`` rows are summed in registers.
    """
    M, C, T = sizes.out_channels, sizes.in_channels, taps.shape[0]
    half = width // 2
    filled = (C * T + half - 1) // half * half
    pad, at = scratch[: sizes.pad_items], sizes.pad_items
    left_scratch = scratch[at : at + sizes.left_items]
    at += sizes.left_items
    sums, totals = scratch[at : at + sizes.sum_items], scratch[at + sizes.sum_items :]
    offsets = table
    left = flat_dy if dy_in_place else left_scratch
    pixels_from = flat_x if x_in_place else pad
    for task in range(first, last):
        m0 = task * sizes.block_channels
        m1 = min(M, m0 + sizes.block_channels)
        sums[: (m1 - m0) * filled * lanes] = 0
        totals[: (m1 - m0) * filled] = 0
        block = 0
        for n in range(sizes.images):
            for a0 in range(0, sizes.rows, sizes.tile_rows):
                rows = min(sizes.rows - a0, sizes.tile_rows)
                for b0 in range(0, sizes.columns, sizes.tile_columns):
                    columns = min(sizes.columns - b0, sizes.tile_columns)
                    pad_rows, pitch = rows + sizes.span_h, columns + sizes.span_w
                    plane, start = pad_rows * pitch, 0
                    if x_in_place:
                        pitch = x.shape[3]
                        plane = x.shape[2] * pitch
                        start = n * C * plane + a0 * pitch + b0
                    else:
                        call(planes_code, (
                            pad, x, n, n + 1, 0, C, phases, sizes.step_h, sizes.step_w,
                            a0 + sizes.shift_h, pad_rows, b0 + sizes.shift_w, pitch, lanes,
                        ))  # fmt: skip
                    for j in range(filled):
                        c, tap = min(j, C * T - 1) // T, min(j, C * T - 1) % T
                        if x_in_place:
                            offsets[j] = start + c * plane + taps[tap, 5]
                        else:
                            offsets[j] = (c * phases.shape[0] + taps[tap, 2]) * plane
                            offsets[j] += taps[tap, 3] * pitch + taps[tap, 4]
                    for m in range(m0, m1, height):
                        if told_to_stop(watch):
                            return
                        channels = min(height, m1 - m)
                        left_at, left_row, left_channel = 0, columns, rows * columns
                        if dy_in_place:
                            left_row, left_channel = sizes.columns, sizes.rows * sizes.columns
                            left_at = (n * M + m) * left_channel + a0 * left_row + b0
                        else:
                            call(planes_code, (
                                left_scratch, dy, n, n + 1, m, m + channels, WHOLE, 1, 1,
                                a0, rows, b0, columns, lanes,
                            ))  # fmt: skip
                        for a in range(0, rows, sizes.block_pixels):
                            add_block(
                                sums, (m - m0) * filled * lanes, filled * lanes, left, left_at + a * left_row,
                                left_channel, left_row, pixels_from, a * pitch, pitch, offsets, filled,
                                min(sizes.block_pixels, rows - a), columns, channels, height, width, lanes,
                            )  # fmt: skip
                    block += (rows + sizes.block_pixels - 1) // sizes.block_pixels
                    if block >= sizes.group:
                        add_across(totals, 0, sums, 0, (m1 - m0) * filled, lanes)
                        block = 0
        add_across(totals, 0, sums, 0, (m1 - m0) * filled, lanes)
        for m in range(m0, m1):
            for j in range(C * T):
                dw[m * C * T + j] = narrow_for(totals[(m - m0) * filled + j], dw)
