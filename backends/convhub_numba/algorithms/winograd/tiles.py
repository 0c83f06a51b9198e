"""Lists the tiles of Winograd's algorithm, loads them as pixels, and transforms them."""

from __future__ import annotations

from ... import jit
from ...runtime.calls import call

__all__ = ["list_tiles", "load_tiles"]


@jit.part()
def list_tiles(
    places, images, image_items, rows, columns, dilation_h, dilation_w, group_h, group_w, pitch, lanes
):
    """List where tiles begin among pixels, `pitch` in a row; return how many there are.

    There are `rows` by `columns` groups of tiles that interleave, `group_h` by `group_w` pixels apart.
    """
    k = 0
    for n in range(images):
        for a in range(rows * dilation_h):
            h = a // dilation_h * group_h + a % dilation_h
            for b in range(columns * dilation_w):
                w = b // dilation_w * group_w + b % dilation_w
                places[k] = n * image_items + (h * pitch + w) * lanes
                k += 1
    return k


@jit.part()
def load_tiles(
    tiles, point_items, at_once, pixels_code, code, array, n0, images, group, first, channels, end, h0, rows,
    w0, columns, count, dilation_h, dilation_w, places, pixels, table, lanes,
):  # fmt: skip
    """Transform tiles of `rows` by `columns` pixels under them, from (h0, w0) on, by the `code`.

    Makes ``tiles[point, block, tile, lane]``, a block being `at_once` vectors, for `channels` channels from
    number `first` on. A vector that would reach past the `end` of the channels, which begin at `group`,
    ends there, and repeats some channels of another.
    """
    row_step, column_step = dilation_h * columns * lanes, dilation_w * lanes
    width = at_once * lanes
    for c in range(0, channels, lanes):
        c0 = max(group, min(first + c, end - lanes))
        held = min(lanes, end - c0)
        for n in range(images):
            call(pixels_code, (
                pixels[n * rows * columns * lanes :], array, n0 + n, c0, held, h0, rows, w0, columns, c > 0,
                table, lanes,
            ))  # fmt: skip
        to = c // width * width * count + c % width
        call(
            code,
            (tiles, to, width, point_items, pixels, places, count, row_step, column_step, 0, 0, 0, lanes),
        )
