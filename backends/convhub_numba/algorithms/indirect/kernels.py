"""Computes forward and grad_input where a group has few output channels, by vectors of pixels.

Gathering pixels into panels pays off only if many channels use them. Here each vector of pixels is read from
the planes in place, at one offset for each term (the indirection of Dukhan 2019, arXiv:1907.02129), by a tile
with one row for each of the group's channels.
"""

from __future__ import annotations

from ... import jit
from ...layout.pixel_vectors import hand_out, list_vectors
from ...runtime.calls import call
from ...vectors.gemm_microkernel import gather_tile
from ...vectors.half import widen

__all__ = ["correlate"]


@jit.kernel()
def correlate(
    first, last, scratch, table, out, source, flat_source, weight, flat_weight, bias, taps, phases, sizes,
    planes_code, source_in_place, weight_in_place, height, vectors, lanes,
):  # fmt: skip
    """Compute tasks `first` to `last`; a task is a tile of one image's pixels for a block of groups.

    The arguments are those of `gemm.kernels.correlate`; `height` is the number of a group's output channels.
    """
    C, T = sizes.source_channels, taps.shape[0]
    terms = C * T
    pad = scratch[: sizes.pad_items]
    packed = scratch[sizes.pad_items : sizes.pad_items + sizes.packed_items]
    rest = scratch[sizes.pad_items + sizes.packed_items :]
    tile, zeros = rest[: height * vectors * lanes], rest[height * vectors * lanes :]
    zeros[:height] = 0
    most = sizes.tile_rows * ((sizes.tile_columns + lanes - 1) // lanes) + vectors
    bases, places, tile_places = table[:most], table[most : 2 * most], table[2 * most :]
    tile_places, offsets = tile_places[:vectors], tile_places[vectors:]
    for v in range(vectors):
        tile_places[v] = v * lanes
    g_blocks = (sizes.groups + sizes.tile_groups - 1) // sizes.tile_groups
    b_blocks = (sizes.columns + sizes.tile_columns - 1) // sizes.tile_columns
    a_blocks = (sizes.rows + sizes.tile_rows - 1) // sizes.tile_rows
    pixels_from = flat_source if source_in_place else pad
    for task in range(first, last):
        g0 = task % g_blocks * sizes.tile_groups
        rest_task = task // g_blocks
        b0 = rest_task % b_blocks * sizes.tile_columns
        rest_task //= b_blocks
        a0 = rest_task % a_blocks * sizes.tile_rows
        n = rest_task // a_blocks
        columns = min(sizes.columns - b0, sizes.tile_columns)
        rows = min(sizes.rows - a0, sizes.tile_rows)
        pad_rows, pitch = rows + sizes.span_h, columns + sizes.span_w
        plane = pad_rows * pitch
        if source_in_place:
            pitch = source.shape[3]
            plane = source.shape[2] * pitch
        count = list_vectors(bases, places, sizes, rows, columns, pitch, vectors, lanes)
        # Vectors may be stored up to `end`: those longer than a row spill into the next, written after them.
        stored = sizes.out_column == 1 and (columns >= lanes or columns == sizes.out_row)
        end = (rows - 1) * sizes.out_row + columns if stored else 0
        out_start = sizes.out_first + n * sizes.out_image + a0 * sizes.out_row + b0 * sizes.out_column
        for g in range(g0, min(sizes.groups, g0 + sizes.tile_groups)):
            if not source_in_place:
                call(planes_code, (
                    pad, source, n, n + 1, g * C, g * C + C, phases, sizes.step_h, sizes.step_w,
                    a0 + sizes.shift_h, pad_rows, b0 + sizes.shift_w, pitch, lanes,
                ))  # fmt: skip
            t = 0
            for c in range(C):
                for tap in range(T):
                    if source_in_place:
                        offsets[t] = (
                            (n * source.shape[1] + g * C + c) * plane + a0 * pitch + b0 + taps[tap, 5]
                        )
                    else:
                        offsets[t] = (c * phases.shape[0] + taps[tap, 2]) * plane
                        offsets[t] += taps[tap, 3] * pitch + taps[tap, 4]
                    for i in range(height):
                        packed[t * height + i] = widen(weight[g, i, c, taps[tap, 0], taps[tap, 1]])
                    t += 1
            channel = g * height
            start = out_start + channel * sizes.out_channel
            for v in range(0, count, vectors):
                if terms <= sizes.block_channels and places[v + vectors - 1] + lanes <= end:
                    gather_tile(out, start, places, v, sizes.out_channel, packed, 0, pixels_from, bases, v,
                                offsets, 0, terms, bias, channel, False, height, vectors, lanes)  # fmt: skip
                    continue
                for t0 in range(0, terms, sizes.block_channels):
                    gather_tile(tile, 0, tile_places, 0, vectors * lanes, packed, t0 * height, pixels_from,
                                bases, v, offsets, t0, min(terms - t0, sizes.block_channels), bias, channel,
                                t0 > 0, height, vectors, lanes)  # fmt: skip
                hand_out(
                    out, tile, places[v:], sizes.out_column, end, min(vectors, count - v), columns, height,
                    sizes.out_channel, start, vectors, lanes,
                )  # fmt: skip
