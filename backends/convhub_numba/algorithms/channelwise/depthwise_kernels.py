"""Computes forward and grad_input of depthwise layers, with vectors of channels.

Channels that do not mix are the ideal lanes: no vector is ever cut short by the end of a row, and neither
stride nor padding costs anything. The cost is turning the planes, `lanes` channels at a time, into pixels of
`lanes` channels each (the layout NCHW16c of Zhang, Franchetti and Low 2018, arXiv:1809.10170), and the
results back.
"""

from __future__ import annotations

from typing import NamedTuple

from ... import jit
from ...layout.pixels import load_listed
from ...vectors.gemm_microkernel import channels_tile
from ...vectors.half import narrow_for
from ...vectors.moves import transpose_square

__all__ = ["Part", "Sizes", "correlate", "reached_rows", "taps_that_meet"]


class Sizes(NamedTuple):
    """The kernel's parameters for a problem and its blocking; lengths in elements."""

    images: int
    channels: int
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
    pad_items: int
    tile_items: int
    block_terms: int  # summed one after another, at most
    covers: int  # whether each column of the source meets some tap for each output of a row


class Part(NamedTuple):
    """A correlation (see `correlation.Correlation`) whose taps are evenly spaced, as the kernel takes it."""

    first_h: int
    out_step_h: int
    rows: int
    first_w: int
    out_step_w: int
    columns: int
    row_taps: int
    row_shift: int  # of the first tap
    row_shift_step: int  # from one tap to the next
    column_taps: int
    column_shift: int
    column_shift_step: int
    first_r: int
    step_r: int
    first_s: int
    step_s: int
    first_weight: int  # how many weights the parts before this one have
    first_column: int  # where its column taps begin in the table of them


@jit.part()
def list_taps(places, parts, S, lanes):
    """List where in a packed weight each element of the kernel goes: ``[part, row tap, column tap, lane]``.

    Elements that no part uses go to a place behind the others.
    """
    last = parts[parts.shape[0] - 1]
    places[:] = (last[16] + last[6] * last[9]) * lanes
    for i in range(parts.shape[0]):
        part = parts[i]
        for t in range(part[6]):
            for s in range(part[9]):
                r, k = part[12] + t * part[13], part[14] + s * part[15]
                places[r * S + k] = (part[16] + t * part[9] + s) * lanes


@jit.part()
def reached_rows(parts, o0, o1, sizes):
    """Return the first row of the source that output rows `o0` to `o1` read, and the one after the last."""
    h0, h1 = sizes.source_rows, 0
    for i in range(parts.shape[0]):
        part = parts[i]
        a0 = max(0, (o0 - part[0] + part[1] - 1) // part[1])
        a1 = min(part[2], (o1 - part[0] + part[1] - 1) // part[1])
        if a0 < a1 and part[6] > 0:
            last = part[7] + (part[6] - 1) * part[8]
            h0 = min(h0, a0 * sizes.step_h + min(part[7], last))
            h1 = max(h1, (a1 - 1) * sizes.step_h + max(part[7], last) + 1)
    h0 = max(0, h0)
    return h0, max(h0, min(h1, sizes.source_rows))


@jit.part()
def taps_that_meet(at, step, taps, reach, size):
    """Return the first tap, and the one after the last, that meet ``range(size)`` for some output of a tile.

    For the first output, tap t is at ``at + t * step``; for the last one, `reach` further on.
    """
    t0, t1 = 0, taps
    while t0 < t1 and not -reach <= at + t0 * step < size:
        t0 += 1
    while t0 < t1 and not -reach <= at + (t1 - 1) * step < size:
        t1 -= 1
    return t0, t1


@jit.kernel()
def correlate(
    first, last, scratch, table, out, source, flat_source, weight, flat_weight, bias, taps, parts, sizes,
    source_in_place, weight_in_place, height, vectors, lanes,
):  # fmt: skip
    """Compute tasks `first` to `last`; a task is some rows of one image for `lanes` channels.

    The arguments are those of `gemm.kernels.correlate`, except that each row of `parts` is a `Part`, and
    `taps` has where in a row of pixels each column tap begins; `vectors` outputs are summed at once.

    Where the kernel covers the image, a loop over the taps would meet mostly padding. There the loop runs
    over the pixels of a row, and pixels and weights change places: neighbouring outputs meet a pixel through
    neighbouring taps, stored in reverse. `taps` has for each pixel the tap through which output 0 meets it.
    `weight` is (1, channels, 1, R, S).
    """
    C, H, W = sizes.channels, sizes.source_rows, sizes.source_columns
    out_plane = sizes.out_rows * sizes.out_columns
    pad, tile = scratch[: sizes.pad_items], scratch[sizes.pad_items : sizes.pad_items + sizes.tile_items]
    packed = scratch[sizes.pad_items + sizes.tile_items :]
    R, S = weight.shape[3], weight.shape[4]
    kernels = weight[:, :, 0]
    places, rest = table[: sizes.most_pixels], table[sizes.most_pixels :]
    tap_places, rest = rest[: R * S], rest[R * S :]
    list_taps(tap_places, parts, S, lanes)
    source_lines, tile_lines, columns = rest[:lanes], rest[lanes : 2 * lanes], rest[2 * lanes :]
    for j in range(lanes):
        tile_lines[j] = j * lanes
    for i in range(taps.shape[0]):
        columns[i] = taps[i, 0] * lanes
    for i in range(sizes.most_pixels):
        column = sizes.left + i % W
        places[i] = (
            i // W * sizes.pitch + column % sizes.step_w * sizes.phase_pitch + column // sizes.step_w
        ) * lanes
    pad[:] = 0  # only the pixels are written later, so the margins remain zero
    row_blocks = (sizes.out_rows + sizes.tile_rows - 1) // sizes.tile_rows
    packed_block = -1
    for task in range(first, last):
        block, n = task // row_blocks // sizes.images, task // row_blocks % sizes.images
        c0 = min(block * lanes, C - lanes)  # the last block computes some channels twice
        o0 = task % row_blocks * sizes.tile_rows
        o1 = min(sizes.out_rows, o0 + sizes.tile_rows)
        if packed_block != block:
            load_listed(packed, 0, tap_places, kernels, 0, c0, lanes, 0, R * S, source_lines, lanes)
            packed_block = block

        h0, h1 = reached_rows(parts, o0, o1, sizes)
        load_listed(pad, 0, places, source, n, c0, lanes, h0, (h1 - h0) * W, source_lines, lanes)
        for part_index in range(parts.shape[0]):
            part = parts[part_index]
            first_h, out_step_h, first_w, out_step_w, part_columns = (
                part[0],
                part[1],
                part[3],
                part[4],
                part[5],
            )
            row_taps, row_shift, row_shift_step = part[6], part[7], part[8]
            column_taps, column_shift, column_shift_step = part[9], part[10], part[11]
            first_weight, first_column = part[16], part[17]
            reach = (vectors - 1) * sizes.step_w
            a0 = max(0, (o0 - first_h + out_step_h - 1) // out_step_h)
            a1 = min(part[2], (o1 - first_h + out_step_h - 1) // out_step_h)
            for a in range(a0, a1):
                h = a * sizes.step_h + row_shift
                t0, t1 = taps_that_meet(h, row_shift_step, row_taps, 0, H)
                to = (first_h + a * out_step_h - o0) * sizes.out_columns + first_w
                if sizes.covers:
                    wide = min(W, sizes.block_terms)
                    at_once = sizes.block_terms // wide
                    t = t0
                    while True:
                        for w in range(0, W, wide):
                            channels_tile(
                                tile, to * lanes, lanes,
                                pad, ((h + t * row_shift_step - h0) * sizes.pitch + sizes.left + w) * lanes,
                                row_shift_step * sizes.pitch * lanes,
                                packed, t * column_taps * lanes, column_taps * lanes, columns, w,
                                min(at_once, t1 - t), min(wide, W - w), bias, c0, t > t0 or w > 0, vectors,
                                lanes,
                            )  # fmt: skip
                        t += at_once
                        if t >= t1:
                            break
                    continue
                b = 0
                while b < part_columns:
                    b = min(b, part_columns - vectors)  # the last ones may be computed twice
                    w = b * sizes.step_w + column_shift
                    s0, s1 = taps_that_meet(w, column_shift_step, column_taps, reach, W)
                    wide = min(max(1, s1 - s0), sizes.block_terms)
                    at_once = sizes.block_terms // wide
                    t = t0
                    while True:
                        for s in range(s0, max(s1, s0 + 1), wide):
                            channels_tile(
                                tile, (to + b * out_step_w) * lanes, out_step_w * lanes,
                                packed, (first_weight + t * column_taps + s) * lanes, column_taps * lanes,
                                pad, ((h + t * row_shift_step - h0) * sizes.pitch + b) * lanes,
                                row_shift_step * sizes.pitch * lanes, columns, first_column + s,
                                min(at_once, t1 - t), min(wide, s1 - s), bias, c0, t > t0 or s > s0, vectors,
                                lanes,
                            )  # fmt: skip
                        t += at_once
                        if t >= t1:
                            break
                    b += vectors

        count = (o1 - o0) * sizes.out_columns
        start = (n * C + c0) * out_plane + o0 * sizes.out_columns
        if count >= lanes:
            i = 0
            while i < count:
                i = min(i, count - lanes)
                transpose_square(out, start + i, out_plane, tile, i * lanes, tile_lines, 0, lanes)
                i += lanes
        else:
            for i in range(count):
                for j in range(lanes):
                    out[start + j * out_plane + i] = narrow_for(tile[i * lanes + j], out)
