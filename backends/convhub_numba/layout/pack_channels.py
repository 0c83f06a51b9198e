"""Packs weights so that vectors run along output channels, and unpacks their gradient."""

from __future__ import annotations

from .. import jit
from ..vectors.half import widen
from ..vectors.moves import transpose_square
from .pixels import store_pixels

__all__ = ["pack_square", "store_kernels"]


@jit.part()
def pack_square(packed, weight, g, m0, c0, channels, spare, table, lanes):
    """Fill ``packed[c, t, i] = weight[g, m0 + i, c0 + c, tap t]``, widened.

    For `lanes` output channels (those past the last repeat it) and `channels` source channels, at most
    `lanes`. In memory either the output channels or the source channels of `weight` may lie further apart;
    whole squares of the two are transposed in registers, twice where the output channels lie side by side.
    `spare` has room for ``taps * lanes * lanes`` elements, `table` for ``2 * lanes``.
    """
    M, R, S = weight.shape[1], weight.shape[3], weight.shape[4]
    taps = R * S
    item = weight.itemsize
    stride_g, stride_m, stride_c, stride_r, stride_s = weight.strides
    whole = (stride_g | stride_m | stride_c | stride_r | stride_s) % item == 0
    stride_g, stride_m, stride_c = stride_g // item, stride_m // item, stride_c // item
    plain = whole and stride_s == item and (stride_r == S * item or R == 1) and channels == lanes
    start = g * stride_g + m0 * stride_m + c0 * stride_c
    lines, columns = table[:lanes], table[lanes:]
    if plain and stride_c == taps:
        # Rows of (channel, tap), one for each output channel.
        for i in range(lanes):
            lines[i] = min(i, M - 1 - m0) * stride_m
        for e in range(0, taps * lanes, lanes):
            transpose_square(packed, e * lanes, lanes, weight, start + e, lines, 0, lanes)
        return
    if plain and stride_m == taps and m0 + lanes <= M:
        # Rows of (output channel, tap), one for each source channel: transposed, and again by taps.
        for i in range(lanes):
            lines[i] = i * stride_c
        for e in range(0, taps * lanes, lanes):
            transpose_square(spare, e * lanes, lanes, weight, start + e, lines, 0, lanes)
        for i in range(lanes):
            columns[i] = i * taps * lanes
        for t in range(taps):
            transpose_square(packed, t * lanes, taps * lanes, spare, t * lanes, columns, 0, lanes)
        return
    for t in range(taps):
        for c in range(channels):
            to = (c * taps + t) * lanes
            for i in range(lanes):
                m = min(m0 + i, M - 1)
                packed[to + i] = widen(weight[g, m, c0 + c, t // S, t % S])


@jit.part()
def store_kernels(dw, g, m0, channels, c0, in_channels, T, C, M, kernels, table, lanes):
    """Transpose ``kernels[c, tap, lane]`` into rows of `dw`, one for each of `channels` output channels."""
    for e in range(in_channels * T):
        table[e] = e * lanes
    row = C * T
    start = (g * M + m0) * row + c0 * T
    store_pixels(dw, start, row, channels, kernels, table, 0, in_channels * T, lanes)
