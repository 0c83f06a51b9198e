"""Computes the gradient of the weight by Winograd's minimal filtering, transposed.

The map from a kernel to an output tile is linear in the kernel; its transpose takes the gradient of the tile
to that of the kernel: ``dw = Gᵀ [Σ (A dy Aᵀ) ⊙ (Bᵀ x B)] G``, the sum over all tiles being one matrix product
for each element. Tiles are those of forward, `kernels`.

Tiles are summed in blocks, and blocks in groups (see `chains`), always in the same order, whatever the
threads. Elements that are not finite are left to `recompute`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ... import jit
from ...layout.pack_channels import store_kernels
from ...reduction import add_groups
from ...runtime.calls import call
from ...runtime.interrupts import told_to_stop
from ...vectors.gemm_microkernel import gemm_tile
from .tiles import list_tiles, load_tiles

__all__ = ["Sizes", "correlate"]


class Sizes(NamedTuple):
    """The kernel's parameters for a problem and its blocking; lengths in elements. See `kernels.Sizes`."""

    images: int
    groups: int
    out_channels: int  # of one group
    in_channels: int  # of one group
    dilation_h: int
    dilation_w: int
    tiles_h: int
    tiles_w: int
    source_group_h: int
    source_group_w: int
    out_group_h: int
    out_group_w: int
    source_first_h: int
    source_first_w: int
    sources_h: int
    sources_w: int
    points_h: int
    points_w: int
    block_images: int
    block_h: int
    block_w: int
    block_out: int  # output channels in a task; a multiple of the panel's width
    tiles: int  # in a block, at most
    pixel_items: int
    source_items: int
    gradient_items: int
    product_items: int
    group: int  # how many sums of blocks make a group
    total_items: int  # 0 where there is one group


@jit.part()
def multiply_tiles(
    products, product_row, sources, source_at, gradients, gradient_at, count, channels, height, vectors, lanes
):
    """Add ``Σ_t sources[t, c] · gradients[t, k]`` to a block of vectors of `channels` by one panel."""
    width = vectors * lanes
    for c in range(0, channels, height):
        at = source_at + c // lanes * count * lanes + c % lanes
        gemm_tile(products, c * product_row, product_row, sources, at, 1, lanes, gradients, gradient_at,
                  width, count, products, 0, True, height, vectors, lanes)  # fmt: skip


@jit.kernel()
def correlate(
    first, last, watch, scratch, table, dw, flags, dy, x, T, sizes, pixels_code, source_code, gradient_code,
    kernel_code, height, vectors, lanes,
):  # fmt: skip
    """Compute tasks `first` to `last`; a task is all of one group's ``dw`` for a block of output channels.

    Sets ``flags[0]`` to 1 if an element is not finite.
    """
    M, C = sizes.out_channels, sizes.in_channels
    width = vectors * lanes
    channel_blocks = (C + lanes - 1) // lanes
    at = sizes.pixel_items
    pixels, sources = scratch[:at], scratch[at : at + sizes.source_items]
    at += sizes.source_items
    gradients, at = scratch[at : at + sizes.gradient_items], at + sizes.gradient_items
    products, at = scratch[at : at + sizes.product_items], at + sizes.product_items
    totals, kernels = scratch[at : at + sizes.total_items], scratch[at + sizes.total_items :]
    summed = totals if sizes.total_items else products
    places, gradient_places, rest = (
        table[: sizes.tiles],
        table[sizes.tiles : 2 * sizes.tiles],
        table[2 * sizes.tiles :],
    )
    m_blocks = (M + sizes.block_out - 1) // sizes.block_out
    points = sizes.points_h * sizes.points_w
    point_rows = channel_blocks * lanes
    point_products = point_rows * sizes.block_out + lanes
    for task in range(first, last):
        g, m0 = task // m_blocks, task % m_blocks * sizes.block_out
        held = (min(M - m0, sizes.block_out) + width - 1) // width * width
        products[: points * point_products] = 0
        totals[:] = 0
        done = 0
        for n0 in range(0, sizes.images, sizes.block_images):
            images = min(sizes.images - n0, sizes.block_images)
            for a0 in range(0, sizes.tiles_h, sizes.block_h):
                tile_rows = min(sizes.tiles_h - a0, sizes.block_h)
                for b0 in range(0, sizes.tiles_w, sizes.block_w):
                    if told_to_stop(watch):
                        return
                    tile_columns = min(sizes.tiles_w - b0, sizes.block_w)
                    count = images * tile_rows * sizes.dilation_h * tile_columns * sizes.dilation_w
                    source_points = channel_blocks * count * lanes + lanes
                    rows = (tile_rows - 1) * sizes.source_group_h + sizes.sources_h * sizes.dilation_h
                    columns = (tile_columns - 1) * sizes.source_group_w + sizes.sources_w * sizes.dilation_w
                    list_tiles(places, images, rows * columns * lanes, tile_rows, tile_columns,
                               sizes.dilation_h,
                               sizes.dilation_w, sizes.source_group_h, sizes.source_group_w, columns,
                               lanes)  # fmt: skip
                    load_tiles(
                        sources, source_points, 1, pixels_code, source_code, x, n0, images, g * C, g * C, C,
                        g * C + C,
                        sizes.source_first_h + a0 * sizes.source_group_h, rows,
                        sizes.source_first_w + b0 * sizes.source_group_w, columns, count, sizes.dilation_h,
                        sizes.dilation_w,
                        places, pixels, rest, lanes,
                    )  # fmt: skip
                    gradient_points = held * count + lanes
                    rows, columns = tile_rows * sizes.out_group_h, tile_columns * sizes.out_group_w
                    list_tiles(gradient_places, images, rows * columns * lanes, tile_rows, tile_columns,
                               sizes.dilation_h, sizes.dilation_w, sizes.out_group_h, sizes.out_group_w,
                               columns,
                               lanes)  # fmt: skip
                    load_tiles(
                        gradients, gradient_points, vectors, pixels_code, gradient_code, dy, n0, images,
                        g * M, g * M + m0, held, g * M + M, a0 * sizes.out_group_h, rows,
                        b0 * sizes.out_group_w, columns, count, sizes.dilation_h, sizes.dilation_w,
                        gradient_places, pixels, rest, lanes,
                    )  # fmt: skip
                    for e in range(points):
                        for m in range(0, held, width):
                            multiply_tiles(
                                products[e * point_products + m :], sizes.block_out, sources,
                                e * source_points,
                                gradients, e * gradient_points + m * count, count, point_rows, height,
                                vectors, lanes,
                            )  # fmt: skip
                    done += 1
                    if done == sizes.group and sizes.total_items:
                        add_groups(totals, products, sizes.total_items, lanes)
                        done = 0
        if sizes.total_items:
            add_groups(totals, products, sizes.total_items, lanes)

        # Sums are transformed back to kernels, a square of channels at a time.
        for i in range(lanes):
            places[i] = i * sizes.block_out
        for m in range(m0, min(M, m0 + sizes.block_out), lanes):
            k0 = max(0, min(m, M - lanes))
            for c in range(0, C, lanes):
                c0, in_channels = max(0, min(c, C - lanes)), min(C, lanes)
                call(kernel_code, (
                    kernels, 0, T * lanes, lanes, summed[c * sizes.block_out + m - m0 :], places,
                    in_channels, sizes.points_w * point_products, point_products, 0, 0, 0, lanes,
                ))  # fmt: skip
                channels = min(M, lanes)
                store_kernels(dw, g, k0, channels, c0, in_channels, T, C, M, kernels, rest, lanes)
                for i in range(channels):
                    for e in range(in_channels * T):
                        if not np.isfinite(kernels[e * lanes + i]):
                            flags[0] = 1
