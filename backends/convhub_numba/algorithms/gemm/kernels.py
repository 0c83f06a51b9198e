"""Computes forward and grad_input as matrix products whose columns are gathered a panel at a time.

A panel holds, for a few terms of the sum, the pixels that a few neighbouring outputs need: the im2col matrix,
but never more of it than fits the first-level cache. The blocking is that of Goto and van de Geijn,
*Anatomy of high-performance matrix multiplication* (ACM TOMS 34, 2008).

Every output starts from its bias and adds blocks of terms in one order, whichever thread runs it: the bits do
not depend on how tasks are shared out.
"""

from __future__ import annotations

from ... import jit
from ...layout.pack import copy_run, list_runs, pack_panel
from ...layout.pack_weight import pack_rows, pack_weight, terms_side_by_side
from ...runtime.calls import call
from ...runtime.interrupts import told_to_stop
from ...vectors.half import is_narrow, narrow_for
from ...vectors.product import multiply_panel

__all__ = ["correlate"]


@jit.part()
def hand_out(out, start, channel, sizes, places, side_by_side, pixels, tile, at, height, width, lanes):
    """Copy `height` rows of finished sums, narrowed, to where their pixels belong."""
    for i in range(height):
        line = start + (channel + i) * sizes.out_channel
        if side_by_side:
            copy_run(out, line + places[0], tile, at + i * width, pixels, lanes)
        else:
            for j in range(pixels):
                out[line + places[j]] = narrow_for(tile[at + i * width + j], out)


@jit.part()
def list_places(places, first, last, sizes, rows, columns):
    """List where pixels `first` to `last` of a tile go in the output; return whether side by side."""
    n, within = first // (rows * columns), first % (rows * columns)
    a, b = within // columns, within % columns
    for j in range(last - first):
        places[j] = n * sizes.out_image + a * sizes.out_row + b * sizes.out_column
        b += 1
        if b == columns:
            b = 0
            a += 1
            if a == rows:
                a = 0
                n += 1
    return places[last - first - 1] - places[0] == last - first - 1


@jit.kernel()
def correlate(
    first, last, watch, scratch, table, out, source, flat_source, weight, flat_weight, bias, taps, phases,
    sizes,
    planes_code, source_in_place, weight_in_place, height_limit, vectors, lanes,
):  # fmt: skip
    """Compute tasks `first` to `last` of a correlation; a task is a tile of pixels by a block of channels.

    `source` is (N, groups * C, H, W) and `weight` (groups, M, C, R, S), of any strides; `flat_source` and
    `flat_weight` are the same memory in one dimension where they are contiguous and used in place.
    `taps` has rows (r, s, phase plane, row, column, offset in place); `phases` has rows (row, column).
    """
    M, C, T = sizes.out_channels, sizes.source_channels, taps.shape[0]
    width = vectors * lanes
    pad = scratch[: sizes.pad_items]
    panel = scratch[sizes.pad_items : sizes.pad_items + sizes.panel_items]
    packed = scratch[
        sizes.pad_items + sizes.panel_items : sizes.pad_items + sizes.panel_items + sizes.packed_items
    ]
    held = scratch[sizes.pad_items + sizes.panel_items + sizes.packed_items :]
    places, runs, offsets = table[:width], table[width : 4 * width], table[4 * width :]

    m_blocks = (M + sizes.tile_channels - 1) // sizes.tile_channels
    b_blocks = (sizes.columns + sizes.tile_columns - 1) // sizes.tile_columns
    a_blocks = (sizes.rows + sizes.tile_rows - 1) // sizes.tile_rows
    pixels_from = flat_source if source_in_place else pad
    weights_from = flat_weight if weight_in_place else packed
    by_rows = terms_side_by_side(weight, T)
    for task in range(first, last):
        m0 = task % m_blocks * sizes.tile_channels
        rest_task = task // m_blocks
        g = rest_task % sizes.groups
        rest_task //= sizes.groups
        b0 = rest_task % b_blocks * sizes.tile_columns
        rest_task //= b_blocks
        a0 = rest_task % a_blocks * sizes.tile_rows
        n0 = rest_task // a_blocks * sizes.tile_images
        m1 = min(M, m0 + sizes.tile_channels)
        columns = min(sizes.columns - b0, sizes.tile_columns)
        rows = min(sizes.rows - a0, sizes.tile_rows)
        images = min(sizes.images - n0, sizes.tile_images)
        pad_rows, pad_columns = rows + sizes.span_h, columns + sizes.span_w
        plane = images * pad_rows * pad_columns
        image_items, pitch, start, readable = pad_rows * pad_columns, pad_columns, 0, sizes.pad_items
        if source_in_place:
            pitch = source.shape[3]
            plane = source.shape[2] * pitch
            image_items = source.shape[1] * plane
            start = n0 * image_items + a0 * pitch + b0
            readable = sizes.source_items
        out_start = sizes.out_first + n0 * sizes.out_image + a0 * sizes.out_row + b0 * sizes.out_column
        for c0 in range(0, C, sizes.block_channels):
            c1 = min(C, c0 + sizes.block_channels)
            if not source_in_place:
                call(planes_code, (
                    pad, source, n0, n0 + images, g * C + c0, g * C + c1, phases, sizes.step_h, sizes.step_w,
                    a0 + sizes.shift_h, pad_rows, b0 + sizes.shift_w, pad_columns, lanes,
                ))  # fmt: skip
            for tap0 in range(0, T, sizes.block_taps):
                if told_to_stop(watch):
                    return
                tap1 = min(T, tap0 + sizes.block_taps)
                count = (c1 - c0) * (tap1 - tap0)
                t, reach = 0, 0
                for c in range(c0, c1):
                    for tap in range(tap0, tap1):
                        if source_in_place:
                            offsets[t] = start + (g * C + c) * plane + taps[tap, 5]
                        else:
                            offsets[t] = ((c - c0) * phases.shape[0] + taps[tap, 2]) * plane
                            offsets[t] += taps[tap, 3] * pad_columns + taps[tap, 4]
                        reach = max(reach, offsets[t])
                        t += 1
                left_at, left_row = 0, 0
                if weight_in_place:
                    left_at, left_row = (g * M + m0) * sizes.weight_row + c0 * T + tap0, sizes.weight_row
                elif by_rows:
                    left_row = count
                    pack_rows(packed, weight, g, m0, m1, c0 * T + tap0, count, lanes)
                else:
                    pack_weight(packed, weight, g, m0, m1, c0, c1, taps, tap0, tap1, height_limit)
                accumulate, complete = c0 > 0 or tap0 > 0, c1 == C and tap1 == T
                pixels = images * rows * columns
                for pixel in range(0, pixels, width):
                    end = min(pixels, pixel + width)
                    used = (end - pixel + lanes - 1) // lanes
                    run_count = list_runs(runs, pixel, end, rows, columns, pitch, image_items, lanes)
                    pack_panel(
                        panel, width, pixels_from, runs, run_count, offsets, count, reach, readable, lanes
                    )
                    side_by_side = list_places(places, pixel, end, sizes, rows, columns)
                    direct = side_by_side and end - pixel == width
                    if is_narrow(out):
                        direct = direct and complete and not accumulate
                    if direct:
                        to = out_start + (g * M + m0) * sizes.out_channel + places[0]
                        multiply_panel(out, to, sizes.out_channel, weights_from, left_at, left_row, panel,
                                       count,
                                       bias, g * M + m0, accumulate, m1 - m0, used, height_limit, vectors,
                                       lanes)  # fmt: skip
                        continue
                    # Partial sums that would be narrowed, and pixels that do not lie side by side, are summed
                    # separately and copied out when complete.
                    to = pixel * sizes.tile_channels if sizes.held_panels > 1 else 0
                    multiply_panel(held, to, width, weights_from, left_at, left_row, panel, count,
                                   bias, g * M + m0, accumulate, m1 - m0, used, height_limit, vectors,
                                   lanes)  # fmt: skip
                    if complete:
                        hand_out(out, out_start, g * M + m0, sizes, places, side_by_side, end - pixel, held,
                                 to,
                                 m1 - m0, width, lanes)  # fmt: skip
