"""Computes the weight gradient as a matrix product of the source's pixels and the gradient's.

``dw[k, c, tap] = Σ dy[pixel, k] · x[pixel * stride + tap, c]``: both are turned into pixels of channels side
by side (see `kernels`), and a register tile of source channels by vectors of output channels is summed
over a list of pixels, whatever the taps, the stride, and the rows' lengths.

Pixels are summed in blocks, and blocks in groups (see `chains`), always in the same order, whatever the
threads.
"""

from __future__ import annotations

from typing import NamedTuple

from ... import jit
from ...layout.pack_channels import store_kernels
from ...reduction import add_groups
from ...runtime.calls import call
from ...runtime.interrupts import told_to_stop
from ...vectors.moves import copy_vector
from ...vectors.pixel_microkernel import listed_tile

__all__ = ["Sizes", "correlate"]


class Sizes(NamedTuple):
    """The kernel's parameters for a problem and its blocking; lengths in elements."""

    images: int
    groups: int
    out_channels: int  # of one group
    in_channels: int  # of one group
    rows: int  # of dy
    columns: int
    taps_h: int
    taps_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    top: int
    left: int
    block_images: int
    block_rows: int
    block_columns: int
    block_out: int  # output channels in a task; a multiple of the panel's width
    pixel_items: int
    gradient_items: int
    sum_items: int
    group: int  # how many sums of blocks make a group
    total_items: int  # 0 where there is one group


@jit.part()
def load_gradient(
    pixels_code, gradient, dy, first, end, group, n0, images, p0, rows, q0, columns, block, table, vectors,
    lanes,
):  # fmt: skip
    """Fill ``gradient[panel, pixel, output channel]`` with channels `first` to `end` of a block of images."""
    width = vectors * lanes
    area = rows * columns
    padded = (end - first + width - 1) // width * width
    for k in range(0, padded, lanes):
        # Past the last channel, any finite value.
        k0 = max(group, min(first + k, end - lanes))
        at = k // width * width * images * area + k % width
        for n in range(images):
            call(pixels_code, (
                block, dy, n0 + n, k0, min(lanes, end - group), p0, rows, q0, columns, k > 0 or n > 0, table,
                lanes,
            ))  # fmt: skip
            for i in range(area):
                copy_vector(gradient, at, block, i * lanes, lanes)
                at += width


@jit.kernel()
def correlate(first, last, watch, scratch, table, dw, dy, x, sizes, pixels_code, height, vectors, lanes):
    """Compute tasks `first` to `last`; a task is all of one group's ``dw`` for a block of output channels."""
    M, C, T = sizes.out_channels, sizes.in_channels, sizes.taps_h * sizes.taps_w
    width = vectors * lanes
    blocks = (C + lanes - 1) // lanes
    at = sizes.pixel_items
    pixels, gradient = scratch[:at], scratch[at : at + sizes.gradient_items]
    at += sizes.gradient_items
    sums, at = scratch[at : at + sizes.sum_items], at + sizes.sum_items
    totals, kernels = scratch[at : at + sizes.total_items], scratch[at + sizes.total_items :]
    most = sizes.block_images * sizes.block_rows * sizes.block_columns
    bases, rest = table[:most], table[most:]
    m_blocks = (M + sizes.block_out - 1) // sizes.block_out
    row = sizes.block_out
    for task in range(first, last):
        g, m0 = task // m_blocks, task % m_blocks * sizes.block_out
        m1 = min(M, m0 + sizes.block_out)
        sums[: T * blocks * lanes * row] = 0
        totals[:] = 0
        done = 0
        for n0 in range(0, sizes.images, sizes.block_images):
            images = min(sizes.images - n0, sizes.block_images)
            for p0 in range(0, sizes.rows, sizes.block_rows):
                rows = min(sizes.rows - p0, sizes.block_rows)
                for q0 in range(0, sizes.columns, sizes.block_columns):
                    if told_to_stop(watch):
                        return
                    columns = min(sizes.columns - q0, sizes.block_columns)
                    high = (rows - 1) * sizes.stride_h + (sizes.taps_h - 1) * sizes.dilation_h + 1
                    wide = (columns - 1) * sizes.stride_w + (sizes.taps_w - 1) * sizes.dilation_w + 1
                    load_gradient(pixels_code, gradient, dy, g * M + m0, g * M + m1, g * M, n0, images, p0,
                                  rows, q0, columns, pixels, rest, vectors, lanes)  # fmt: skip
                    block_items = images * high * wide * lanes
                    for n in range(images):
                        for block in range(blocks):
                            c0 = g * C + max(0, min(block * lanes, C - lanes))
                            call(pixels_code, (
                                pixels[block * block_items + n * high * wide * lanes :], x, n0 + n, c0,
                                min(C, lanes), p0 * sizes.stride_h - sizes.top, high,
                                q0 * sizes.stride_w - sizes.left, wide,
                                False, rest, lanes,
                            ))  # fmt: skip
                    count = 0
                    for n in range(images):
                        for p in range(rows):
                            for q in range(columns):
                                pixel = (n * high + p * sizes.stride_h) * wide + q * sizes.stride_w
                                bases[count] = pixel * lanes
                                count += 1
                    for m in range(0, m1 - m0, width):
                        for block in range(blocks):
                            for t in range(T):
                                tap = (
                                    t // sizes.taps_w * sizes.dilation_h * wide
                                    + t % sizes.taps_w * sizes.dilation_w
                                )
                                for c in range(0, lanes, height):
                                    listed_tile(
                                        sums, ((t * blocks + block) * lanes + c) * row + m, row, pixels,
                                        block * block_items + tap * lanes + c, bases, gradient, m * count,
                                        count, height, vectors, lanes,
                                    )  # fmt: skip
                    done += 1
                    if done == sizes.group and sizes.total_items:
                        add_groups(totals, sums, sizes.total_items, lanes)
                        done = 0
        if sizes.total_items:
            add_groups(totals, sums, sizes.total_items, lanes)
        held = totals if sizes.total_items else sums

        for m in range(m0, m1, lanes):
            k0 = max(0, min(m, m1 - lanes))
            for block in range(blocks):
                for t in range(T):
                    for c in range(lanes):
                        at = ((t * blocks + block) * lanes + c) * row + m - m0
                        copy_vector(kernels, (c * T + t) * lanes, held, at, lanes)
                c0 = max(0, min(block * lanes, C - lanes))
                store_kernels(dw, g, k0, min(m1, lanes), c0, min(C, lanes), T, C, M, kernels, rest, lanes)
