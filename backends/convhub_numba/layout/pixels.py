"""Turns planes into pixels of all their channels side by side, and back.

Sums over channels read pixels in place; no stride, dilation or image border cuts their vectors short. Squares
of channels by pixels are transposed in registers (the layout of channels inside of pixels: Georganas et al.
2018, arXiv:1808.05567).
"""

from __future__ import annotations

from .. import jit
from ..vectors.half import narrow_for, widen
from ..vectors.moves import transpose_square, transpose_to_places

__all__ = ["clear", "load_listed", "load_pixels", "store_pixels"]


@jit.kernel()
def load_pixels(pixels, source, n, c0, channels, h0, rows, w0, columns, again, table, lanes):
    """Fill ``pixels[i, j, c] = source[n, c0 + c, h0 + i, w0 + j]``, widened; zero outside of the image.

    A pixel is `lanes` channels, or, if `channels` are fewer, those and zeros. Where the same region of other
    channels was loaded before (`again`), the margins and the list of places are reused. `table` has room for
    ``lanes + rows * columns`` integers, and is kept between calls.
    """
    H, W = source.shape[2], source.shape[3]
    top, bottom = min(rows, max(0, -h0)), max(0, min(rows, H - h0))
    left, right = min(columns, max(0, -w0)), max(0, min(columns, W - w0))
    lines, places = table[:lanes], table[lanes:]
    if not again:
        whole = top == left == 0 and bottom == rows and right == columns and channels == lanes
        if not whole:
            clear(pixels, 0, rows * columns * lanes)
        k = 0
        for i in range(top, bottom):
            for j in range(left, right):
                places[k] = (i * columns + j) * lanes
                k += 1
    if top >= bottom or left >= right:
        return
    length = right - left
    stride_n, stride_c, stride_h, stride_w = source.strides
    item = source.itemsize
    dense = stride_w == item and (stride_n | stride_c | stride_h) % item == 0 and channels == lanes
    stride_n, stride_c, stride_h = stride_n // item, stride_c // item, stride_h // item
    start = n * stride_n + c0 * stride_c + (h0 + top) * stride_h + w0 + left
    runs, count = bottom - top, length
    if length == stride_h:  # whole rows that follow one another
        runs, count = 1, runs * length
    if not dense or count < lanes:
        k = 0
        for i in range(h0 + top, h0 + bottom):
            for j in range(w0 + left, w0 + right):
                for c in range(channels):
                    pixels[places[k] + c] = widen(source[n, c0 + c, i, j])
                k += 1
        return
    for c in range(lanes):
        lines[c] = c * stride_c
    for run in range(runs):
        i = 0
        while i < count:
            i = min(i, count - lanes)  # the last pixels may be transposed twice
            transpose_to_places(
                pixels, places, run * count + i, source, start + run * stride_h + i, lines, lanes
            )
            i += lanes


@jit.part()
def clear(pad, start, stop):
    """Set ``pad[start:stop]`` to zero."""
    for i in range(start, stop):
        pad[i] = 0


@jit.part()
def load_listed(pad, at, places, source, n, c0, channels, h0, count, lines, lanes):
    """Transpose `count` pixels from row `h0` on, widened: pixel i goes to ``pad[at + places[i]:][:lanes]``.

    Lane j is channel ``c0 + j``; the lanes from `channels` on repeat the last channel. `lines` has room for
    `lanes` numbers.
    """
    W = source.shape[3]
    item = source.itemsize
    stride_n, stride_c, stride_h, stride_w = source.strides
    dense = stride_w == item and stride_h == W * item and (stride_n | stride_c) % item == 0
    if dense and count >= lanes:
        stride_n, stride_c = stride_n // item, stride_c // item
        for j in range(lanes):
            lines[j] = min(j, channels - 1) * stride_c
        start = n * stride_n + c0 * stride_c + h0 * W
        to = pad[at:]
        i = 0
        while i < count:
            i = min(i, count - lanes)  # the last square transposes some pixels twice
            transpose_to_places(to, places, i, source, start + i, lines, lanes)
            i += lanes
    else:
        for i in range(count):
            h, w = h0 + i // W, i % W
            for j in range(channels):
                pad[at + places[i] + j] = widen(source[n, c0 + j, h, w])


@jit.part()
def store_pixels(out, out_start, out_plane, channels, pixels, offsets, first, count, lanes):
    """Write ``out[out_start + c * out_plane + i] = pixels[offsets[first + i] + c]``, narrowed.

    `channels` are at most `lanes`.
    """
    if count < lanes or channels < lanes:
        for i in range(count):
            at = offsets[first + i]
            for c in range(channels):
                out[out_start + c * out_plane + i] = narrow_for(pixels[at + c], out)
        return
    i = 0
    while i < count:
        i = min(i, count - lanes)
        transpose_square(out, out_start + i, out_plane, pixels, 0, offsets, first + i, lanes)
        i += lanes
