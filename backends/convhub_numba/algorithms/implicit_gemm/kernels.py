"""Computes forward and grad_input as a matrix product whose left side is pixels read in place.

Planes are turned into pixels of `lanes` channels each; a register tile sums several output pixels by several
vectors of output channels, reading each source pixel where it is, at one offset for each tap and vector of
channels. Nothing is gathered, and no row's end, stride or phase leaves a vector half empty (compare Georganas
et al. 2018, arXiv:1808.05567, and Dukhan 2019, arXiv:1907.02129).
"""

from __future__ import annotations

from typing import NamedTuple

from ... import jit
from ...layout.pack_channels import pack_square
from ...layout.pixels import store_pixels
from ...runtime.calls import call
from ...vectors.moves import copy_vector
from ...vectors.pixel_microkernel import multiply_pixels

__all__ = ["Part", "Sizes", "correlate", "pack_weights"]


class Sizes(NamedTuple):
    """The kernels' parameters for a problem and its blocking; lengths in elements."""

    images: int
    groups: int
    out_channels: int  # of one group
    source_channels: int  # of one group
    out_rows: int
    out_columns: int
    source_step_h: int  # from one output of a part to the next
    source_step_w: int
    out_step_h: int
    out_step_w: int
    shift_h: int  # least shift of a tap
    shift_w: int
    span_h: int  # from the least to the largest
    span_w: int
    block_images: int
    block_rows: int  # of outputs, a multiple of the step
    block_out: int  # output channels in a task; a multiple of the panel's width
    block_terms: int  # how many taps by vectors of channels are summed in a block
    clips: int  # whether rows of taps that meet only padding are left out
    pixel_items: int
    out_items: int


class Part(NamedTuple):
    """A correlation (see `correlation.Correlation`), as a row of the table `parts`."""

    first_h: int
    rows: int
    first_w: int
    columns: int
    first_tap: int  # in the table of taps: kernel row and column, shift from the least
    taps: int
    row_taps: int


@jit.kernel()
def pack_weights(first, last, scratch, table, packed, weight, taps, parts, sizes, vectors, lanes):
    """Compute tasks `first` to `last`, each a panel of output channels of one group.

    `packed` is [group][panel][part][block of source channels][tap][source channel][output channel].
    """
    M, C, S = sizes.out_channels, sizes.source_channels, weight.shape[4]
    T = weight.shape[3] * S
    width = vectors * lanes
    panels = (M + width - 1) // width
    square, spare = scratch[: T * lanes * lanes], scratch[T * lanes * lanes :]
    for task in range(first, last):
        g, panel = task // panels, task % panels
        for v in range(vectors):
            m0 = min(panel * width + v * lanes, M - 1)  # past the last channel, any finite value
            for c0 in range(0, C, lanes):
                channels = min(lanes, C - c0)
                pack_square(square, weight, g, m0, c0, channels, spare, table, lanes)
                for p in range(parts.shape[0]):
                    first_tap, count = parts[p, 4], parts[p, 5]
                    to = ((task * taps.shape[0] + first_tap) * C + c0 * count) * width + v * lanes
                    for t in range(count):
                        at = (taps[first_tap + t, 0] * S + taps[first_tap + t, 1]) * lanes
                        for _ in range(channels):
                            copy_vector(packed, to, square, at, lanes)
                            to += width
                            at += T * lanes


@jit.part()
def reaching_taps(taps, part, a, sizes, H):
    """Return the range of a part's rows of taps that meet the image from output row `a`."""
    across = part[5] // max(1, part[6])
    start = a * sizes.source_step_h + sizes.shift_h
    i0, i1 = 0, part[6]
    while i0 < i1 and not 0 <= start + taps[part[4] + i0 * across, 2] < H:
        i0 += 1
    while i0 < i1 and not 0 <= start + taps[part[4] + (i1 - 1) * across, 2] < H:
        i1 -= 1
    return i0 * across, i1 * across


@jit.part()
def list_pixels(places, bases, part, o0, rows, a0, a1, images, columns, image_items, sizes, width, lanes):
    """List a part's pixels of its rows `a0` to `a1`: where they are summed, and where their source begins."""
    k = 0
    for n in range(images):
        for a in range(a0, a1):
            row = (n * rows + part[0] + a * sizes.out_step_h - o0) * sizes.out_columns + part[2]
            base = n * image_items + (a - o0 // sizes.out_step_h) * sizes.source_step_h * columns * lanes
            for b in range(part[3]):
                places[k] = (row + b * sizes.out_step_w) * width
                bases[k] = base + b * sizes.source_step_w * lanes
                k += 1
    return k


@jit.kernel()
def correlate(
    first, last, scratch, table, out, source, packed, bias, taps, parts, sizes, pixels_code, height, vectors,
    lanes,
):  # fmt: skip
    """Compute tasks `first` to `last`; a task is a block of images' rows for a block of output channels."""
    M, C, T = sizes.out_channels, sizes.source_channels, taps.shape[0]
    width = vectors * lanes
    pixels, sums = (
        scratch[: sizes.pixel_items],
        scratch[sizes.pixel_items : sizes.pixel_items + sizes.out_items],
    )
    constants = scratch[sizes.pixel_items + sizes.out_items :]
    most = sizes.block_images * sizes.block_rows * sizes.out_columns
    places, bases, offsets = table[:most], table[most : 2 * most], table[2 * most :]
    left_over = C % lanes
    skipped = lanes - left_over if lanes < C else 0  # channels of the last block that another has
    full = C // lanes
    blocks = full + (left_over > 0)
    panels = (M + width - 1) // width
    m_blocks = (M + sizes.block_out - 1) // sizes.block_out
    a_blocks = (sizes.out_rows + sizes.block_rows - 1) // sizes.block_rows
    n_blocks = (sizes.images + sizes.block_images - 1) // sizes.block_images
    plane = sizes.out_rows * sizes.out_columns
    columns = (sizes.out_columns + sizes.out_step_w - 1) // sizes.out_step_w - 1
    columns = columns * sizes.source_step_w + sizes.span_w + 1
    for task in range(first, last):
        o0 = task % a_blocks * sizes.block_rows
        n0 = task // a_blocks % n_blocks * sizes.block_images
        rest = task // a_blocks // n_blocks  # a thread gets the same part of the weight as it has packed
        g, m0 = rest // m_blocks, rest % m_blocks * sizes.block_out
        m1 = min(M, m0 + sizes.block_out)
        images = min(sizes.images - n0, sizes.block_images)
        out_rows = min(sizes.out_rows - o0, sizes.block_rows)
        rows = (
            ((out_rows + sizes.out_step_h - 1) // sizes.out_step_h - 1) * sizes.source_step_h
            + sizes.span_h
            + 1
        )
        image_items = rows * columns * lanes
        block_items = images * image_items
        h0 = o0 // sizes.out_step_h * sizes.source_step_h + sizes.shift_h
        for block in range(blocks):
            c0 = g * C + max(0, min(block * lanes, C - lanes))
            for n in range(images):
                call(pixels_code, (
                    pixels[block * block_items + n * image_items :], source, n0 + n, c0, min(C, lanes), h0,
                    rows, sizes.shift_w, columns, False, table, lanes,
                ))  # fmt: skip
        count = images * out_rows * sizes.out_columns
        for m in range(m0, m1, width):
            for i in range(width):
                constants[i] = bias[g * M + m + i] if m + i < M else 0
            panel = (g * panels + m // width) * T * C * width
            to = (m - m0) * count
            for p in range(parts.shape[0]):
                part = parts[p]
                first_tap, part_taps = part[4], part[5]
                for block in range(blocks):
                    for t in range(part_taps):
                        tap = first_tap + t
                        offsets[block * part_taps + t] = (
                            block * block_items + (taps[tap, 2] * columns + taps[tap, 3]) * lanes
                        )
                at = panel + first_tap * C * width
                terms = full * part_taps
                a = (o0 - part[0] + sizes.out_step_h - 1) // sizes.out_step_h
                end = min(part[1], (o0 + out_rows - part[0] + sizes.out_step_h - 1) // sizes.out_step_h)
                while a < end:
                    t0, t1, a1 = 0, part_taps, end
                    if sizes.clips:
                        t0, t1 = reaching_taps(taps, part, a, sizes, source.shape[2])
                        a1 = a + 1
                        while a1 < end and (t0, t1) == reaching_taps(taps, part, a1, sizes, source.shape[2]):
                            a1 += 1
                    used = list_pixels(places, bases, part, o0, out_rows, a, a1, images, columns, image_items,
                                       sizes, width, lanes)  # fmt: skip
                    if t0 == 0 and t1 == part_taps:
                        for t in range(0, max(1, terms), sizes.block_terms):
                            multiply_pixels(
                                sums, to, places, pixels, 0, bases, used, offsets, t,
                                min(terms - t, sizes.block_terms), lanes, packed, at + t * lanes * width,
                                constants, 0, t > 0, height, vectors, lanes,
                            )  # fmt: skip
                    else:
                        for block in range(max(1, full)):
                            reaching = t1 - t0 if block < full else 0
                            for t in range(0, max(1, reaching), sizes.block_terms):
                                tap = block * part_taps + t0 + t
                                multiply_pixels(
                                    sums, to, places, pixels, 0, bases, used, offsets, tap,
                                    min(reaching - t, sizes.block_terms), lanes, packed,
                                    at + tap * lanes * width, constants, 0, block > 0 or t > 0, height,
                                    vectors, lanes,
                                )  # fmt: skip
                    if left_over:
                        for t in range(t0, t1, sizes.block_terms):
                            multiply_pixels(
                                sums, to, places, pixels, skipped, bases, used, offsets, terms + t,
                                min(t1 - t, sizes.block_terms), left_over, packed,
                                at + (terms * lanes + t * left_over) * width, constants, 0, True, height,
                                vectors, lanes,
                            )  # fmt: skip
                    a = a1

        # From pixels to planes, `lanes` channels at a time.
        for i in range(out_rows * sizes.out_columns):
            places[i] = i * width
        for m in range(m0, m1, lanes):
            at = (m - m0) // width * width * count + (m - m0) % width
            for n in range(images):
                store_pixels(
                    out, ((n0 + n) * sizes.groups * M + g * M + m) * plane + o0 * sizes.out_columns, plane,
                    min(m1 - m, lanes), sums[at + n * out_rows * sizes.out_columns * width :], places, 0,
                    out_rows * sizes.out_columns, lanes,
                )  # fmt: skip
