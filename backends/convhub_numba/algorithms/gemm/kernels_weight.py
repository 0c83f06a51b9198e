"""Computes the gradient of the weight as matrix products, reduced over blocks of pixels.

``dw[k, (c, r, s)] = Σ dy[k, pixel] · x[pixel, (c, r, s)]``: the rows of ``dy`` keep their layout, those of
``x`` are gathered into panels, transposed in registers so that the vector's lanes are elements of ``dw``.

Pixels are summed in blocks, blocks in groups (see `chains`), groups in the order of images and rows: always
the same, whatever the threads, and with an error that stays far below that of one long chain.
"""

from __future__ import annotations

from ... import jit
from ...layout.pack import copy_run, list_runs
from ...reduction import add_groups
from ...runtime.calls import call
from ...runtime.interrupts import told_to_stop
from ...vectors.half import widen
from ...vectors.moves import transpose_square
from ...vectors.product import multiply_panel

__all__ = ["correlate"]


@jit.part()
def pack_turned(panel, source, runs, run_count, offsets, columns, readable, lanes):
    """Fill ``panel[pixel, j]`` with ``source[place of pixel + offsets[j]]`` for `columns` elements `j`."""
    for i in range(run_count):
        pixel, start, length = runs[3 * i], runs[3 * i + 1], runs[3 * i + 2]
        for first in range(0, columns, lanes):
            safe = True
            for j in range(first, first + lanes):
                safe = safe and start + offsets[j] + lanes <= readable
            if safe:
                transpose_square(
                    panel, pixel * columns + first, columns, source, start, offsets, first, lanes
                )
            else:
                for j in range(first, first + lanes):
                    for k in range(length):
                        panel[(pixel + k) * columns + j] = source[start + k + offsets[j]]


@jit.part()
def load_rows(left, dy, n, k0, k1, row0, column0, columns, pixel, count, lanes):
    """Fill ``left[channel, t]``, widened, with `count` pixels of a tile `columns` wide, from `pixel` on."""
    item = dy.itemsize
    stride_n, stride_k, stride_p, stride_q = dy.strides
    dense = stride_q == item and (stride_n | stride_k | stride_p) % item == 0
    one_run = dense and columns == dy.shape[3] and stride_p == columns * item
    to = 0
    for k in range(k0, k1):
        t = 0
        while t < count:
            p, q = row0 + (pixel + t) // columns, column0 + (pixel + t) % columns
            length = count if one_run else min(count - t, column0 + columns - q)
            if dense:
                start = (n * stride_n + k * stride_k + p * stride_p) // item + q
                copy_run(left, to, dy, start, length, lanes)
            else:
                for j in range(length):
                    left[to + j] = widen(dy[n, k, p, q + j])
            t += length
            to += length


@jit.kernel()
def correlate(
    first, last, watch, scratch, table, dw, dy, flat_dy, x, flat_x, taps, phases, sizes, planes_code,
    dy_in_place, x_in_place,
    height_limit, vectors, lanes,
):  # fmt: skip
    """Compute tasks `first` to `last`; a task is a block of rows by a block of columns of one group's ``dw``.

    `dy` is (N, K, P, Q) and `x` (N, C, H, W), of any strides; `flat_dy` and `flat_x` are the same memory in
    one dimension where they are contiguous and used in place. `taps`, `phases`: see `gemm.kernels`.
    """
    M, C, T = sizes.out_channels, sizes.in_channels, taps.shape[0]
    width = vectors * lanes
    at = sizes.pad_items
    pad, panel = scratch[:at], scratch[at : at + sizes.panel_items]
    at += sizes.panel_items
    left_scratch = scratch[at : at + sizes.left_items]
    at += sizes.left_items
    sums, totals = (
        scratch[at : at + sizes.sum_items],
        scratch[at + sizes.sum_items : at + 2 * sizes.sum_items],
    )
    offsets, runs = table[: sizes.block_columns], table[sizes.block_columns :]
    m_blocks = (M + sizes.block_channels - 1) // sizes.block_channels
    j_blocks = (C * T + sizes.block_columns - 1) // sizes.block_columns
    image_pixels = sizes.rows * sizes.columns
    left = flat_dy if dy_in_place else left_scratch
    pixels_from = flat_x if x_in_place else pad
    for task in range(first, last):
        m0 = task % m_blocks * sizes.block_channels
        j0 = task // m_blocks % j_blocks * sizes.block_columns
        g = task // m_blocks // j_blocks
        m1, j1 = min(M, m0 + sizes.block_channels), min(C * T, j0 + sizes.block_columns)
        c0, c1 = j0 // T, (j1 - 1) // T + 1
        stride = (j1 - j0 + width - 1) // width * width
        used = (m1 - m0) * stride
        totals[:used] = 0
        sums[:used] = 0
        block = 0
        for n in range(sizes.images):
            for a0 in range(0, sizes.rows, sizes.tile_rows):
                rows = min(sizes.rows - a0, sizes.tile_rows)
                for b0 in range(0, sizes.columns, sizes.tile_columns):
                    columns = min(sizes.columns - b0, sizes.tile_columns)
                    pad_rows, pitch = rows + sizes.span_h, columns + sizes.span_w
                    plane, start, readable = pad_rows * pitch, 0, sizes.pad_items
                    if x_in_place:
                        pitch = x.shape[3]
                        plane = x.shape[2] * pitch
                        start = (n * x.shape[1] + g * C + c0) * plane + a0 * pitch + b0
                        readable = sizes.source_items
                    else:
                        call(planes_code, (
                            pad, x, n, n + 1, g * C + c0, g * C + c1, phases, sizes.step_h, sizes.step_w,
                            a0 + sizes.shift_h, pad_rows, b0 + sizes.shift_w, pitch, lanes,
                        ))  # fmt: skip
                    for j in range(stride):
                        column = min(j0 + j, j1 - 1)
                        c, tap = column // T, column % T
                        if x_in_place:
                            offsets[j] = start + (c - c0) * plane + taps[tap, 5]
                        else:
                            offsets[j] = ((c - c0) * phases.shape[0] + taps[tap, 2]) * plane
                            offsets[j] += taps[tap, 3] * pitch + taps[tap, 4]
                    for pixel in range(0, rows * columns, sizes.block_pixels):
                        if told_to_stop(watch):
                            return
                        count = min(sizes.block_pixels, rows * columns - pixel)
                        run_count = list_runs(runs, pixel, pixel + count, rows, columns, pitch, 0, lanes)
                        if dy_in_place:
                            left_at = (
                                (n * sizes.groups + g) * M * image_pixels + a0 * sizes.columns + b0 + pixel
                            )
                            left_at += m0 * image_pixels
                            left_row = image_pixels
                        else:
                            left_at, left_row = 0, count
                            load_rows(
                                left_scratch, dy, n, g * M + m0, g * M + m1, a0, b0, columns, pixel, count,
                                lanes,
                            )  # fmt: skip
                        for j in range(0, stride, width):
                            pack_turned(
                                panel, pixels_from, runs, run_count, offsets[j:], width, readable, lanes
                            )
                            wide = min(vectors, (j1 - j0 - j + lanes - 1) // lanes)
                            multiply_panel(sums, j, stride, left, left_at, left_row, panel, count, sums, 0,
                                           True, m1 - m0, wide, height_limit, vectors, lanes)  # fmt: skip
                        block += 1
                        if block == sizes.group:
                            add_groups(totals, sums, used, lanes)
                            block = 0
        add_groups(totals, sums, used, lanes)
        for m in range(m0, m1):
            copy_run(dw, (g * M + m) * C * T + j0, totals, (m - m0) * stride, j1 - j0, lanes)
