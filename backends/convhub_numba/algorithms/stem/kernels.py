"""Computes forward of layers with few input channels, such as the first of a network.

So few terms are summed for each output that gathering them into panels would cost a good part of the
products' time. Here each vector of pixels is read from the planes in place, at one offset for each term, as
in `indirect`, but by a tile of many output channels.
"""

from __future__ import annotations

from ... import jit
from ...layout.pack_weight import pack_weight
from ...layout.pixel_vectors import hand_out, list_vectors
from ...runtime.calls import call
from ...vectors.gemm_microkernel import gather_tile
from ...vectors.product import tile_height

__all__ = ["correlate"]


@jit.part()
def add_terms(
    out, out_offset, places, first_place, out_row, packed, packed_offset, source, bases, first_base, offsets,
    first_offset, count, bias, bias_offset, rows, height, vectors, lanes,
):  # fmt: skip
    """Add `count` terms to `rows` channels of a tile of `out`; the very first terms are added to the bias."""
    more = first_offset > 0
    if rows == height:
        gather_tile(out, out_offset, places, first_place, out_row, packed, packed_offset, source, bases,
                    first_base, offsets, first_offset, count, bias, bias_offset, more, height, vectors,
                    lanes)  # fmt: skip
    elif rows == 4:
        gather_tile(out, out_offset, places, first_place, out_row, packed, packed_offset, source, bases,
                    first_base, offsets, first_offset, count, bias, bias_offset, more, 4, vectors,
                    lanes)  # fmt: skip
    elif rows == 2:
        gather_tile(out, out_offset, places, first_place, out_row, packed, packed_offset, source, bases,
                    first_base, offsets, first_offset, count, bias, bias_offset, more, 2, vectors,
                    lanes)  # fmt: skip
    else:
        gather_tile(out, out_offset, places, first_place, out_row, packed, packed_offset, source, bases,
                    first_base, offsets, first_offset, count, bias, bias_offset, more, 1, vectors,
                    lanes)  # fmt: skip


@jit.kernel()
def correlate(
    first, last, scratch, table, out, source, flat_source, weight, flat_weight, bias, taps, phases, sizes,
    planes_code, source_in_place, weight_in_place, height, vectors, lanes,
):  # fmt: skip
    """Compute tasks `first` to `last`; a task is a tile of one image's pixels, in all channels.

    The arguments are those of `gemm.kernels.correlate`; there is one group.
    """
    M, C, T = sizes.out_channels, sizes.source_channels, taps.shape[0]
    terms, width = C * T, vectors * lanes
    pad = scratch[: sizes.pad_items]
    packed = scratch[sizes.pad_items : sizes.pad_items + sizes.packed_items]
    tile = scratch[sizes.pad_items + sizes.packed_items :]
    most = sizes.tile_rows * ((sizes.tile_columns + lanes - 1) // lanes) + vectors
    bases, places, rest = table[:most], table[most : 2 * most], table[2 * most :]
    tile_places, offsets = rest[:vectors], rest[vectors:]
    for v in range(vectors):
        tile_places[v] = v * lanes
    pack_weight(packed, weight, 0, 0, M, 0, C, taps, 0, T, height)
    b_blocks = (sizes.columns + sizes.tile_columns - 1) // sizes.tile_columns
    a_blocks = (sizes.rows + sizes.tile_rows - 1) // sizes.tile_rows
    pixels_from = flat_source if source_in_place else pad
    for task in range(first, last):
        b0 = task % b_blocks * sizes.tile_columns
        a0 = task // b_blocks % a_blocks * sizes.tile_rows
        n = task // b_blocks // a_blocks
        columns, rows = min(sizes.columns - b0, sizes.tile_columns), min(sizes.rows - a0, sizes.tile_rows)
        pad_rows, pitch = rows + sizes.span_h, columns + sizes.span_w
        plane = pad_rows * pitch
        if source_in_place:
            pitch = source.shape[3]
            plane = source.shape[2] * pitch
        else:
            call(planes_code, (
                pad, source, n, n + 1, 0, C, phases, sizes.step_h, sizes.step_w,
                a0 + sizes.shift_h, pad_rows, b0 + sizes.shift_w, pitch, lanes,
            ))  # fmt: skip
        for c in range(C):
            for tap in range(T):
                if source_in_place:
                    offsets[c * T + tap] = (n * C + c) * plane + a0 * pitch + b0 + taps[tap, 5]
                else:
                    offsets[c * T + tap] = (c * phases.shape[0] + taps[tap, 2]) * plane
                    offsets[c * T + tap] += taps[tap, 3] * pitch + taps[tap, 4]
        count = list_vectors(bases, places, sizes, rows, columns, pitch, vectors, lanes)
        # Every vector ends inside its row, unless the row is shorter: then it is stored separately. So are
        # sums of several blocks: a row's last vectors overlap, and the overlap would be added to twice.
        end = (rows - 1) * sizes.out_row + columns if columns >= lanes else 0
        start = sizes.out_first + n * sizes.out_image + a0 * sizes.out_row + b0
        direct = columns >= lanes and terms <= sizes.block_channels
        m = 0
        while m < M:  # outermost: long pieces of few channels are written, while the pixels stay in a cache
            many = tile_height(M - m, height)
            to = start + m * sizes.out_channel
            for v in range(0, count, vectors):
                if direct:
                    add_terms(out, to, places, v, sizes.out_channel, packed, m * terms, pixels_from, bases, v,
                              offsets, 0, terms, bias, m, many, height, vectors, lanes)  # fmt: skip
                    continue
                for t0 in range(0, terms, sizes.block_channels):
                    add_terms(tile, 0, tile_places, 0, width, packed, m * terms + t0 * many, pixels_from,
                              bases, v, offsets, t0, min(sizes.block_channels, terms - t0), bias, m, many,
                              height, vectors, lanes)  # fmt: skip
                hand_out(out, tile, places[v:], 1, end, min(vectors, count - v), columns, many,
                         sizes.out_channel, to, vectors, lanes)  # fmt: skip
            m += many
