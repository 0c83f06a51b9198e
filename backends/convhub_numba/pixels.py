"""Turning planes into pixels: what kernels with vectors of channels read and write.

A pixel is `lanes` channels side by side (the layout NCHW16c of Zhang, Franchetti and Low 2018,
arXiv:1809.10170). Whatever the order in which a kernel wants its pixels, it lists their places.
"""

from __future__ import annotations

from numba import njit

from .moves import transpose_to_places
from .narrow import widened

__all__ = ["clear", "load_pixels"]


@njit(nogil=True, error_model="numpy")
def clear(pad, start, stop):  # type: ignore[no-untyped-def]
    """Set ``pad[start:stop]`` to zero."""
    for i in range(start, stop):
        pad[i] = 0


@njit(nogil=True, error_model="numpy")
def load_pixels(pad, at, places, source, n, c0, channels, h0, count, lines, lanes):  # type: ignore[no-untyped-def]
    """Turn `count` pixels from row `h0` on, widened: pixel i goes to ``pad[at + places[i]:][:lanes]``.

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
            i = min(i, count - lanes)  # the last square turns some pixels twice
            transpose_to_places(to, places, i, source, start + i, lines, lanes)
            i += lanes
    else:
        for i in range(count):
            h, w = h0 + i // W, i % W
            for j in range(channels):
                pad[at + places[i] + j] = widened(source[n, c0 + j, h, w])
