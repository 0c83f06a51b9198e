"""Forward and grad_input of small dense kernels by Winograd's minimal filtering, many channels at once.

Tiles of the source and the kernels are transformed, multiplied element by element, which summed over the
channels is one matrix product for each element, and transformed back (Lavin and Gray 2015,
arXiv:1509.09308). Vectors run across tiles; see `winograd_matrices` for the matrices.

A tile of four by four outputs shares its source pixels, so that one NaN or infinity would reach all of them:
outputs that are not finite are therefore computed again as the plain sum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from .moves import copy_vector, transpose_square
from .pack import list_runs, load_planes
from .tiles import gemm_tile
from .transforms import gather_squares, transform_output, transform_source, transform_weight

__all__ = ["CHUNK", "Sizes", "correlate", "transform_weights"]

CHUNK = 8  # channels whose kernels are transformed before they are stored


class Sizes(NamedTuple):
    """What the kernels must know of a problem and its blocking; lengths in elements."""

    images: int
    groups: int
    out_channels: int  # of one group
    source_channels: int  # of one group
    rows: int  # of outputs
    columns: int
    tiles_h: int
    tiles_w: int
    shift_h: int  # least row, in its phase plane, that tile 0 reads
    shift_w: int
    span_h: int
    span_w: int
    first_h: int  # source row that output row 0 meets with its first tap
    first_w: int
    mirrored: int  # whether the kernel is turned by half a turn, as in grad_input
    block_images: int
    block_rows: int  # of tiles
    panels: int  # of a block
    block_out: int  # output channels whose products are held at once; a multiple of the tile's height
    block_channels: int  # terms are summed in blocks of so many
    padded_out: int  # output channels rounded up to whole vectors
    pad_items: int
    stream_items: int
    panel_items: int
    product_items: int
    pixel_items: int


@njit(cache=True, nogil=True, error_model="numpy")
def transform_weights(
    transformed, weight, flat_weight, scratch, table, z, in_place, first, last, height, outputs, taps, lanes
):  # type: ignore[no-untyped-def]
    """Compute tasks `first` to `last`, each `lanes` output channels of one group.

    `transformed` is [group][element][tile of `height` output channels][channel][row of the tile].
    """
    M, C, T = z.out_channels, z.source_channels, taps * taps
    points = (outputs + taps - 1) * (outputs + taps - 1)
    strides = weight.strides
    item = weight.itemsize
    stride_g, stride_m, stride_c = strides[0] // item, strides[1] // item, strides[2] // item
    blocks = z.padded_out // lanes
    square_items = (T + lanes - 1) // lanes * lanes * lanes
    square, chunk = scratch[:square_items], scratch[square_items:]
    piece_items = CHUNK * height
    origin, step = (T - 1) * lanes if z.mirrored else 0, -lanes if z.mirrored else lanes
    end = flat_weight.size
    for task in range(first, last):
        g, m0 = task // blocks, task % blocks * lanes
        to = g * points * z.padded_out * C + m0 * C
        for c in range(C):
            start = g * stride_g + c * stride_c
            reach = start + (min(M, m0 + lanes) - 1) * stride_m + square_items // lanes
            if in_place and reach <= end:
                for i in range(lanes):
                    table[i] = start + min(M - 1, m0 + i) * stride_m
                for t in range(0, T, lanes):
                    transpose_square(square, t * lanes, lanes, flat_weight, t, table, 0, lanes)
            else:
                for i in range(lanes):
                    m = min(M - 1, m0 + i)
                    for t in range(T):
                        square[t * lanes + i] = weight[g, m, c, t // taps, t % taps]
            k = c % CHUNK
            transform_weight(chunk, k * height, lanes * CHUNK, piece_items, square, origin, step,
                             outputs, taps, height, lanes)  # fmt: skip
            if k < CHUNK - 1 and c < C - 1:
                continue
            # By chunks, because every element belongs to another page of memory.
            for e in range(points):
                for piece in range(lanes // height):
                    at = (e * (lanes // height) + piece) * piece_items
                    place = to + e * z.padded_out * C + piece * height * C + (c - k) * height
                    j = 0
                    while j + lanes <= (k + 1) * height:
                        copy_vector(transformed, place + j, chunk, at + j, lanes)
                        j += lanes
                    while j < (k + 1) * height:
                        transformed[place + j] = chunk[at + j]
                        j += 1


@njit(nogil=True, error_model="numpy")
def plain_sum(source, weight, z, taps, n, g, m, a, b):  # type: ignore[no-untyped-def]
    """Return one output without its bias, as direct sums by channel."""
    H, W = source.shape[2], source.shape[3]
    zero = source.dtype.type(0)
    total = zero
    for c in range(z.source_channels):
        part = zero
        for i in range(taps):
            for j in range(taps):
                h, w = a + z.first_h + i, b + z.first_w + j
                if 0 <= h < H and 0 <= w < W:
                    r, s = (taps - 1 - i, taps - 1 - j) if z.mirrored else (i, j)
                    part += weight[g, m, c, r, s] * source[n, g * z.source_channels + c, h, w]
        total += part
    return total


@njit(nogil=True, error_model="numpy")
def multiply(
    out, to, width, left, at, left_tile, panels, panel, count, zeros, accumulate, tiles, used, height,
    vectors, lanes,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Make or add to `tiles` tiles of rows the products with a panel `used` vectors wide."""
    row = used * lanes
    for _ in range(tiles):
        if used == vectors:
            gemm_tile(out, to, width, left, at, 1, height, panels, panel, row, count, zeros, 0,
                      accumulate, height, vectors, lanes)  # fmt: skip
        elif used == 2:
            gemm_tile(out, to, width, left, at, 1, height, panels, panel, row, count, zeros, 0,
                      accumulate, height, 2, lanes)  # fmt: skip
        else:
            gemm_tile(out, to, width, left, at, 1, height, panels, panel, row, count, zeros, 0,
                      accumulate, height, 1, lanes)  # fmt: skip
        to += height * width
        at += left_tile


@njit(cache=True, nogil=True, error_model="numpy")
def correlate(
    out, source, weight, transformed, bias, scratch, table, elements, phases, z, first, last, height,
    outputs, taps, vectors, lanes,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Compute tasks `first` to `last`; a task is a block of images' rows of tiles, for one group.

    `elements` and `phases` say where the elements of a tile lie in the planes of the source, as `gemm`'s
    taps and phases do.
    """
    M, C = z.out_channels, z.source_channels
    side = outputs + taps - 1
    points, width = side * side, vectors * lanes
    at = z.pad_items
    pad, stream = scratch[:at], scratch[at : at + z.stream_items]
    at += z.stream_items
    panels = scratch[at : at + z.panel_items]
    at += z.panel_items
    products = scratch[at : at + z.product_items]
    at += z.product_items
    pixels, zeros = scratch[at : at + z.pixel_items], scratch[at + z.pixel_items :]
    zeros[:height] = 0
    offsets, run_counts, runs = table[:points], table[points : points + z.panels], table[points + z.panels :]
    pixel_row = width * outputs
    channel_items = z.rows * z.columns
    a_blocks = (z.tiles_h + z.block_rows - 1) // z.block_rows
    plane_step = C * width  # from one element's panel to the next
    for task in range(first, last):
        g = task % z.groups
        a0 = task // z.groups % a_blocks * z.block_rows
        n0 = task // z.groups // a_blocks * z.block_images
        images = min(z.images - n0, z.block_images)
        rows = min(z.tiles_h - a0, z.block_rows)
        pad_rows, pitch = rows + z.span_h, z.tiles_w + z.span_w
        plane = images * pad_rows * pitch
        tiles = images * rows * z.tiles_w
        for e in range(points):
            offsets[e] = elements[e, 2] * plane + elements[e, 3] * pitch + elements[e, 4]
        panel_count = (tiles + width - 1) // width
        for p in range(panel_count):
            run_counts[p] = list_runs(
                runs[3 * width * p :], p * width, min(tiles, (p + 1) * width), rows, z.tiles_w, pitch,
                pad_rows * pitch, lanes,
            )  # fmt: skip
        for c in range(C):
            load_planes(
                pad, source, n0, n0 + images, g * C + c, g * C + c + 1, phases, outputs, outputs,
                a0 + z.shift_h, pad_rows, z.shift_w, pitch, lanes,
            )  # fmt: skip
            for p in range(panel_count):
                tile = p * width
                gather_squares(stream, width + lanes, pad, runs, width * p, run_counts[p], offsets,
                               outputs, taps, lanes)  # fmt: skip
                used = min(vectors, (tiles - tile + lanes - 1) // lanes)
                to = p * points * plane_step + c * used * lanes
                for v in range(used):
                    transform_source(panels, to + v * lanes, plane_step, stream, v * lanes, width + lanes,
                                     outputs, taps, lanes)  # fmt: skip
        for m0 in range(0, M, z.block_out):
            m1 = min(M, m0 + z.block_out)
            product_step = z.block_out * width
            for e in range(points):
                left = (g * points + e) * z.padded_out * C
                for c0 in range(0, C, z.block_channels):
                    count = min(C - c0, z.block_channels)
                    for p in range(panel_count):
                        used = min(vectors, (tiles - p * width + lanes - 1) // lanes)
                        panel = (p * points + e) * plane_step + c0 * used * lanes
                        to = (p * points + e) * product_step
                        at = left + m0 * C + c0 * height
                        multiply(products, to, width, transformed, at, height * C, panels, panel, count,
                                 zeros, c0 > 0, (m1 - m0 + height - 1) // height, used, height, vectors,
                                 lanes)  # fmt: skip
            for p in range(panel_count):
                tile = p * width
                held = min(width, tiles - tile)
                for m in range(m0, m1):
                    channel = g * M + m
                    finite = True
                    for v in range(0, held, lanes):
                        finite &= transform_output(
                            pixels, v * outputs, pixel_row, products,
                            p * points * product_step + (m - m0) * width + v, product_step, bias,
                            channel, outputs, taps, lanes,
                        )  # fmt: skip
                    # From the panel to the image, a row of tiles at a time.
                    k = 0
                    while k < held:
                        n, within = (tile + k) // (rows * z.tiles_w), (tile + k) % (rows * z.tiles_w)
                        a, b = (a0 + within // z.tiles_w) * outputs, within % z.tiles_w * outputs
                        length = min(held - k, z.tiles_w - within % z.tiles_w)
                        count = min(z.columns - b, length * outputs)
                        image = ((n0 + n) * z.groups * M + channel) * channel_items
                        for i in range(min(outputs, z.rows - a)):
                            to, at = image + (a + i) * z.columns + b, i * pixel_row + k * outputs
                            j = 0
                            while j + lanes <= count:
                                copy_vector(out, to + j, pixels, at + j, lanes)
                                j += lanes
                            if j < count and count >= lanes:
                                copy_vector(out, to + count - lanes, pixels, at + count - lanes, lanes)
                                j = count
                            while j + 4 <= count:
                                copy_vector(out, to + j, pixels, at + j, 4)
                                j += 4
                            while j < count:
                                out[to + j] = pixels[at + j]
                                j += 1
                            if not finite:
                                for j in range(count):
                                    if not np.isfinite(out[to + j]):
                                        out[to + j] = bias[channel] + plain_sum(
                                            source, weight, z, taps, n0 + n, g, m, a + i, b + j
                                        )
                        k += length
