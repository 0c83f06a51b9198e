"""Computes forward and grad_input of layers of many channels by Winograd's minimal filtering.

Tiles of the source and the kernels are transformed, multiplied element by element (summed over the channels,
this is one matrix product for each element), and transformed back (Lavin and Gray 2015, arXiv:1509.09308).
Vectors run along channels, so tiles can have any shape and place: with a stride, the phases are filters side
by side (see `matrices`); with a dilation, tiles interleave.

A tile's outputs share its source pixels, so that one NaN or infinity reaches all of them: those outputs are
left to `recompute`.
"""

from __future__ import annotations

from typing import NamedTuple

from ... import jit
from ...layout.pack_channels import pack_square
from ...layout.pixels import store_pixels
from ...runtime.calls import call, call_for_flag
from ...vectors.pixel_microkernel import multiply_pixels
from .tiles import list_tiles, load_tiles

__all__ = ["Sizes", "correlate", "transform_weights"]


class Sizes(NamedTuple):
    """The kernels' parameters for a problem and its blocking; lengths in elements.

    Along an axis, a row of tiles is `rows_of_tiles` groups of `dilation` tiles that interleave; from one
    group to the next it is `source_group` pixels of the source and `out_group` of the output.
    """

    images: int
    groups: int
    out_channels: int  # of one group
    source_channels: int  # of one group
    rows: int  # of the output
    columns: int
    dilation_h: int
    dilation_w: int
    tiles_h: int  # groups of tiles
    tiles_w: int
    source_group_h: int
    source_group_w: int
    out_group_h: int
    out_group_w: int
    source_first_h: int  # where the first tile begins
    source_first_w: int
    out_first_h: int
    out_first_w: int
    sources_h: int  # pixels of a tile
    sources_w: int
    points: int
    block_images: int
    block_h: int  # groups of tiles in a task
    block_w: int
    block_out: int  # output channels in a task; a multiple of the panel's width
    block_channels: int  # how many vectors of channels are summed in a block
    channel_blocks: int  # vectors of channels
    tiles: int  # in a task, at most
    pixel_items: int
    source_items: int
    product_items: int
    out_items: int


@jit.kernel()
def transform_weights(first, last, scratch, table, transformed, weight, sizes, kernel_code, vectors, lanes):
    """Compute tasks `first` to `last`, each a vector of source channels of a panel of output channels.

    `transformed` is [group][element][panel of output channels][channel][output channel].
    """
    M, C = sizes.out_channels, sizes.source_channels
    T = weight.shape[3] * weight.shape[4]
    width = vectors * lanes
    panels = (M + width - 1) // width
    point_items = panels * C * width + lanes  # not a power of two, or all points would share cache lines
    square_items = T * lanes * lanes
    squares, spare = scratch[: vectors * square_items], scratch[vectors * square_items :]
    places, table = table[:width], table[width:]
    channel_blocks = (C + lanes - 1) // lanes
    for task in range(first, last):
        c0, g_panel = task % channel_blocks * lanes, task // channel_blocks
        g, panel = g_panel // panels, g_panel % panels
        to = g * sizes.points * point_items + panel * C * width
        channels = min(lanes, C - c0)
        for v in range(vectors):
            m0 = min(panel * width + v * lanes, M - 1)  # past the last channel, any finite value
            pack_square(squares[v * square_items :], weight, g, m0, c0, channels, spare, table, lanes)
        # All of a channel's vectors one after another: they lie side by side.
        for c in range(channels):
            for v in range(vectors):
                places[c * vectors + v] = v * square_items + c * T * lanes
        call(kernel_code, (transformed, to + c0 * width, lanes, point_items, squares, places,
                           channels * vectors, weight.shape[4] * lanes, lanes, 0, 0, 0, lanes))  # fmt: skip


@jit.kernel()
def correlate(
    first, last, scratch, table, out, flags, source, transformed, bias, sizes, pixels_code, source_code,
    output_code, height, vectors, lanes,
):  # fmt: skip
    """Compute tasks `first` to `last`; a task is a block of tiles for a block of output channels.

    Sets ``flags[0]`` to 1 if an output is not finite.
    """
    M, C = sizes.out_channels, sizes.source_channels
    width = vectors * lanes
    at = sizes.pixel_items
    pixels, sources = scratch[:at], scratch[at : at + sizes.source_items]
    at += sizes.source_items
    products = scratch[at : at + sizes.product_items]
    at += sizes.product_items
    outputs, zeros = scratch[at : at + sizes.out_items], scratch[at + sizes.out_items :]
    zeros, constants = zeros[:width], zeros[width:]
    zeros[:] = 0
    tile_places, source_bases = table[: sizes.tiles], table[sizes.tiles : 2 * sizes.tiles]
    product_bases, rest = table[2 * sizes.tiles : 3 * sizes.tiles], table[3 * sizes.tiles :]
    blocks, rest = rest[: sizes.channel_blocks], rest[sizes.channel_blocks :]
    for t in range(sizes.tiles):
        source_bases[t] = t * lanes
        product_bases[t] = t * width
    left_over = C % lanes
    skipped = lanes - left_over if lanes < C else 0  # channels of the last block that another has
    steps = (C // lanes + sizes.block_channels - 1) // sizes.block_channels + (left_over > 0)
    panels = (M + width - 1) // width
    m_blocks = (M + sizes.block_out - 1) // sizes.block_out
    b_blocks = (sizes.tiles_w + sizes.block_w - 1) // sizes.block_w
    a_blocks = (sizes.tiles_h + sizes.block_h - 1) // sizes.block_h
    n_blocks = (sizes.images + sizes.block_images - 1) // sizes.block_images
    plane = sizes.rows * sizes.columns
    for task in range(first, last):
        b0 = task % b_blocks * sizes.block_w
        rest_task = task // b_blocks
        a0 = rest_task % a_blocks * sizes.block_h
        rest_task //= a_blocks
        n0 = rest_task % n_blocks * sizes.block_images
        rest_task //= n_blocks  # a thread gets the same part of the weight as it has transformed
        g, m0 = rest_task // m_blocks, rest_task % m_blocks * sizes.block_out
        m1 = min(M, m0 + sizes.block_out)
        images = min(sizes.images - n0, sizes.block_images)
        tile_rows, tile_columns = (
            min(sizes.tiles_h - a0, sizes.block_h),
            min(sizes.tiles_w - b0, sizes.block_w),
        )
        count = images * tile_rows * sizes.dilation_h * tile_columns * sizes.dilation_w
        point_items = sizes.channel_blocks * count * lanes + lanes
        rows = (tile_rows - 1) * sizes.source_group_h + sizes.sources_h * sizes.dilation_h
        columns = (tile_columns - 1) * sizes.source_group_w + sizes.sources_w * sizes.dilation_w
        list_tiles(tile_places, images, rows * columns * lanes, tile_rows, tile_columns, sizes.dilation_h,
                   sizes.dilation_w, sizes.source_group_h, sizes.source_group_w, columns, lanes)  # fmt: skip
        load_tiles(
            sources, point_items, 1, pixels_code, source_code, source, n0, images, g * C, g * C, C, g * C + C,
            sizes.source_first_h + a0 * sizes.source_group_h, rows,
            sizes.source_first_w + b0 * sizes.source_group_w, columns,
            count, sizes.dilation_h, sizes.dilation_w, tile_places, pixels, rest, lanes,
        )  # fmt: skip

        # One matrix product for each element of a tile.
        product_items = sizes.block_out * count + lanes
        for i in range(sizes.channel_blocks):
            blocks[i] = i * count * lanes
        for e in range(sizes.points):
            for m in range(m0, m1, width):
                panel = (g * sizes.points + e) * (panels * C * width + lanes) + m * C
                to = e * product_items + (m - m0) * count
                for step in range(steps):
                    block = step * sizes.block_channels
                    some = min(C // lanes - block, sizes.block_channels)
                    terms, tile, at = lanes, e * point_items, panel + block * lanes * width
                    if some <= 0:  # what is left over
                        block, some, terms = sizes.channel_blocks - 1, 1, left_over
                        tile, at = tile + skipped, panel + (C - left_over) * width
                    multiply_pixels(
                        products, to, product_bases, sources, tile, source_bases, count, blocks, block, some,
                        terms, transformed, at, zeros, 0, step > 0, height, vectors, lanes,
                    )  # fmt: skip

        # Tiles are transformed back to pixels, and these turned into planes, `lanes` channels at a time.
        out_rows, out_columns = tile_rows * sizes.out_group_h, tile_columns * sizes.out_group_w
        out_image = out_rows * out_columns * lanes
        list_tiles(tile_places, images, out_image, tile_rows, tile_columns, sizes.dilation_h,
                   sizes.dilation_w,
                   sizes.out_group_h, sizes.out_group_w, out_columns, lanes)  # fmt: skip
        row_step, column_step = sizes.dilation_h * out_columns * lanes, sizes.dilation_w * lanes
        a_first, b_first = (
            sizes.out_first_h + a0 * sizes.out_group_h,
            sizes.out_first_w + b0 * sizes.out_group_w,
        )
        top, left = max(0, -a_first), max(0, -b_first)
        bottom, right = min(out_rows, sizes.rows - a_first), min(out_columns, sizes.columns - b_first)
        length = right - left
        runs, run = bottom - top, length
        if length == sizes.columns:
            runs, run = 1, runs * length
        k = 0
        for i in range(top, bottom):
            for j in range(left, right):
                rest[k] = (i * out_columns + j) * lanes
                k += 1
        for m in range(m0, m1, lanes):
            channels = min(m1 - m, lanes)
            for i in range(lanes):
                constants[i] = bias[g * M + m + i] if i < channels else 0
            at = (m - m0) // width * width * count + (m - m0) % width
            if not call_for_flag(
                output_code,
                (outputs, tile_places, count, row_step, column_step, products, at, width, product_items,
                 constants, 0, 0, lanes),
            ):  # fmt: skip
                flags[0] = 1
            for n in range(images):
                image = ((n0 + n) * sizes.groups * M + g * M + m) * plane
                image += (a_first + top) * sizes.columns + b_first + left
                turned = outputs[n * out_image :]
                for i in range(runs):
                    store_pixels(
                        out, image + i * sizes.columns, plane, channels, turned, rest, i * run, run, lanes
                    )
