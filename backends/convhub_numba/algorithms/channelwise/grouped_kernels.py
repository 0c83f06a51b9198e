"""Computes forward and grad_input of small groups, with vectors of a group's output channels.

As in `depthwise_kernels`, planes are turned into pixels, so that neither the ends of rows nor stride nor
padding cost anything. Each product is a vector of weights, one for each output channel, times one channel of
a pixel.
"""

from __future__ import annotations

from typing import NamedTuple

from ... import jit
from ...layout.pixels import load_listed
from ...vectors.channels_microkernel import group_tile, hand_out_lines
from ...vectors.half import narrow_for, widen
from .depthwise_kernels import reached_rows, taps_that_meet

__all__ = ["Sizes", "correlate"]


class Sizes(NamedTuple):
    """The kernel's parameters for a problem and its blocking; lengths in elements."""

    images: int
    groups: int
    out_channels: int  # of one group
    source_channels: int  # of one group
    source_rows: int
    source_columns: int
    out_rows: int
    out_columns: int
    step_h: int  # of the source
    step_w: int
    tile_rows: int  # of the output
    left: int  # columns of zeros before each row of the source
    phase_pitch: int  # pixels from one phase of a row's columns to the next
    pitch: int  # pixels from one row to the next
    most_pixels: int  # of the source, in a tile
    weights: int  # taps of all parts
    plane_items: int  # of a tile's source, for one vector of channels
    pad_items: int
    tile_items: int
    packed_items: int
    block_terms: int  # summed one after another, at most


@jit.part()
def pack_weight(packed, weight, parts, g, sizes, width, lanes):
    """Lay one group's weights out, ``packed[block of channels, tap, channel, out channel]``.

    A block has `lanes` channels, and each channel `width` output channels, zero past the group's last.
    """
    M, C = sizes.out_channels, sizes.source_channels
    packed[: sizes.packed_items] = 0
    for i in range(parts.shape[0]):
        part = parts[i]
        for t in range(part[6]):
            for s in range(part[9]):
                r, k = part[12] + t * part[13], part[14] + s * part[15]
                tap = part[16] + t * part[9] + s
                for c in range(C):
                    at = ((c // lanes * sizes.weights + tap) * lanes + c % lanes) * width
                    for m in range(M):
                        packed[at + m] = widen(weight[g, m, c, r, k])


@jit.kernel()
def correlate(
    first, last, scratch, table, out, source, flat_source, weight, flat_weight, bias, taps, parts, sizes,
    source_in_place, weight_in_place, height, vectors, lanes,
):  # fmt: skip
    """Compute tasks `first` to `last`; a task is some rows of one image for one group.

    The arguments are those of `depthwise_kernels.correlate`; `height` is how many vectors a group's output
    channels fill, and `vectors` how many outputs are summed at once.
    """
    M, C, H, W = sizes.out_channels, sizes.source_channels, sizes.source_rows, sizes.source_columns
    width, out_plane = height * lanes, sizes.out_rows * sizes.out_columns
    pad, tile = scratch[: sizes.pad_items], scratch[sizes.pad_items : sizes.pad_items + sizes.tile_items]
    packed = scratch[sizes.pad_items + sizes.tile_items :]
    constants = packed[sizes.packed_items :]
    places, lines, columns = (
        table[: sizes.most_pixels],
        table[sizes.most_pixels :],
        table[sizes.most_pixels + lanes :],
    )
    for i in range(taps.shape[0]):
        columns[i] = taps[i, 0] * lanes
    for i in range(sizes.most_pixels):
        column = sizes.left + i % W
        places[i] = (
            i // W * sizes.pitch + column % sizes.step_w * sizes.phase_pitch + column // sizes.step_w
        ) * lanes
    pad[:] = 0  # only the pixels are written later, so the margins remain zero
    row_blocks = (sizes.out_rows + sizes.tile_rows - 1) // sizes.tile_rows
    reach = (vectors - 1) * sizes.step_w
    packed_group = -1
    for task in range(first, last):
        g, n = task // row_blocks // sizes.images, task // row_blocks % sizes.images
        o0 = task % row_blocks * sizes.tile_rows
        o1 = min(sizes.out_rows, o0 + sizes.tile_rows)
        if packed_group != g:
            pack_weight(packed, weight, parts, g, sizes, width, lanes)
            for m in range(width):
                constants[m] = bias[g * M + m] if m < M else 0
            packed_group = g

        h0, h1 = reached_rows(parts, o0, o1, sizes)
        for c in range(0, C, lanes):
            load_listed(
                pad, c // lanes * sizes.plane_items, places, source, n, g * C + c, min(lanes, C - c), h0,
                (h1 - h0) * W, lines, lanes,
            )  # fmt: skip

        for i in range(parts.shape[0]):
            part = parts[i]
            first_h, out_step_h, first_w, out_step_w = part[0], part[1], part[3], part[4]
            row_shift, row_step, column_taps, column_step = part[7], part[8], part[9], part[11]
            a0 = max(0, (o0 - first_h + out_step_h - 1) // out_step_h)
            a1 = min(part[2], (o1 - first_h + out_step_h - 1) // out_step_h)
            for a in range(a0, a1):
                h = a * sizes.step_h + row_shift
                t0, t1 = taps_that_meet(h, row_step, part[6], 0, H)
                to = ((first_h + a * out_step_h - o0) * sizes.out_columns + first_w) * width
                b = 0
                while b < part[5]:
                    b = min(b, part[5] - vectors)  # the last ones may be computed twice
                    s0, s1 = taps_that_meet(b * sizes.step_w + part[10], column_step, column_taps, reach, W)
                    begun = False
                    for c in range(0, C, lanes):
                        channels = min(lanes, C - c)
                        wide = min(max(1, s1 - s0), max(1, sizes.block_terms // channels))
                        at_once = max(1, sizes.block_terms // (wide * channels))
                        t = t0
                        while True:
                            for s in range(s0, max(s1, s0 + 1), wide):
                                tap = c // lanes * sizes.weights + part[16] + t * column_taps + s
                                pixel = (h + t * row_step - h0) * sizes.pitch + b
                                group_tile(
                                    tile, to + b * out_step_w * width, out_step_w * width,
                                    packed, tap * lanes * width, column_taps * lanes * width, lanes * width,
                                    pad, c // lanes * sizes.plane_items + pixel * lanes,
                                    row_step * sizes.pitch * lanes, columns, part[17] + s,
                                    min(at_once, t1 - t), min(wide, s1 - s), channels, constants, begun,
                                    height, vectors, lanes,
                                )  # fmt: skip
                                begun = True
                            t += at_once
                            if t >= t1:
                                break
                    b += vectors

        count = (o1 - o0) * sizes.out_columns
        for m in range(0, M, lanes):
            start = (n * sizes.groups * M + g * M + m) * out_plane + o0 * sizes.out_columns
            channels = min(lanes, M - m)
            if count >= lanes:
                i = 0
                while i < count:
                    i = min(i, count - lanes)
                    hand_out_lines(out, start + i, out_plane, tile, i * width + m, width, channels, lanes)
                    i += lanes
            else:
                for i in range(count):
                    for j in range(channels):
                        out[start + j * out_plane + i] = narrow_for(tile[i * width + m + j], out)
