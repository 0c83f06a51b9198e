"""Computes the weight gradient of groups of few channels as dot products of image rows.

One element of ``dw`` is the dot product of a plane of ``dy`` with a shifted plane of ``x``. Each vector of
``dy`` is loaded once for several taps; the lanes are added up at the end of a block of rows, and blocks in
groups (see `chains`), always in the same order.
"""

from __future__ import annotations

from ... import jit
from ...layout.pack import WHOLE
from ...reduction import add_groups
from ...runtime.calls import call
from ...runtime.interrupts import told_to_stop
from ...vectors.gemm_microkernel import dot_rows
from ...vectors.half import narrow_for

__all__ = ["correlate"]


@jit.kernel()
def correlate(
    first, last, watch, scratch, table, dw, dy, flat_dy, x, flat_x, taps, phases, sizes, planes_code,
    dy_in_place, x_in_place,
    height, width, lanes,
):  # fmt: skip
    """Compute groups `first` to `last` of ``dw``, with the arguments of `gemm.kernels_weight.correlate`."""
    M, C, T = sizes.out_channels, sizes.in_channels, taps.shape[0]
    filled = (T + width - 1) // width * width
    pad, at = scratch[: sizes.pad_items], sizes.pad_items
    left_scratch = scratch[at : at + sizes.left_items]
    sums = scratch[at + sizes.left_items : at + sizes.left_items + sizes.sum_items]
    totals = scratch[at + sizes.left_items + sizes.sum_items : at + sizes.left_items + 2 * sizes.sum_items]
    offsets = table
    left = flat_dy if dy_in_place else left_scratch
    pixels_from = flat_x if x_in_place else pad
    for g in range(first, last):
        totals[:] = 0
        sums[:] = 0
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
                        start = (n * x.shape[1] + g * C) * plane + a0 * pitch + b0
                    else:
                        call(planes_code, (
                            pad, x, n, n + 1, g * C, g * C + C, phases, sizes.step_h, sizes.step_w,
                            a0 + sizes.shift_h, pad_rows, b0 + sizes.shift_w, pitch, lanes,
                        ))  # fmt: skip
                    for j in range(filled):
                        tap = min(j, T - 1)
                        offsets[j] = taps[tap, 5]
                        if not x_in_place:
                            offsets[j] = taps[tap, 2] * plane + taps[tap, 3] * pitch + taps[tap, 4]
                    for m in range(M):
                        if told_to_stop(watch):
                            return
                        left_at, left_row = 0, columns
                        if dy_in_place:
                            left_row = sizes.columns
                            left_at = (
                                ((n * sizes.groups + g) * M + m) * sizes.rows * left_row + a0 * left_row + b0
                            )
                        else:
                            call(planes_code, (
                                left_scratch, dy, n, n + 1, g * M + m, g * M + m + 1, WHOLE, 1, 1,
                                a0, rows, b0, columns, lanes,
                            ))  # fmt: skip
                        for c in range(C):
                            channel_start = start + c * plane * (1 if x_in_place else phases.shape[0])
                            some = sums[(m * C + c) * filled :]
                            for a in range(0, rows, sizes.block_pixels):
                                for j in range(0, T, width):
                                    dot_rows(
                                        some, left, left_at + a * left_row, left_row, pixels_from,
                                        channel_start + a * pitch, pitch, offsets, j,
                                        min(sizes.block_pixels, rows - a), columns, width, lanes,
                                    )  # fmt: skip
                    block += (rows + sizes.block_pixels - 1) // sizes.block_pixels
                    if block >= sizes.group:
                        add_groups(totals, sums, M * C * filled, lanes)
                        block = 0
        add_groups(totals, sums, M * C * filled, lanes)
        for i in range(M * C):
            for j in range(T):
                dw[(g * M * C + i) * T + j] = narrow_for(totals[i * filled + j], dw)
