"""Packs blocks of the weight for the tiles of a matrix product."""

from __future__ import annotations

from .. import jit
from ..vectors.half import widen
from ..vectors.moves import copy_spread
from ..vectors.product import tile_height
from .pack import copy_run

__all__ = ["pack_rows", "pack_weight", "terms_side_by_side"]


@jit.part()
def pack_weight(packed, weight, g, m0, m1, c0, c1, taps, tap0, tap1, rows):
    """Lay a block of the weight out tile by tile, ``packed[tile][term][row]``, widened."""
    count = (c1 - c0) * (tap1 - tap0)
    item = weight.itemsize
    stride_g, stride_m, stride_c, stride_r, stride_s = weight.strides
    aligned = (stride_g | stride_m | stride_c | stride_r | stride_s) % item == 0
    stride_g, stride_m, stride_c = stride_g // item, stride_m // item, stride_c // item
    stride_r, stride_s = stride_r // item, stride_s // item
    for c in range(c0, c1):  # outermost, because in grad_input its stride is the longest
        term = (c - c0) * (tap1 - tap0)
        m = m0
        while m < m1:
            height = tile_height(m1 - m, rows)
            at = (m - m0) * count + term * height
            start = g * stride_g + m * stride_m + c * stride_c
            for t in range(tap0, tap1):
                r, s = taps[t, 0], taps[t, 1]
                if height == rows and aligned:
                    copy_spread(packed, at, weight, start + r * stride_r + s * stride_s, stride_m, rows)
                else:
                    for i in range(height):
                        packed[at + i] = widen(weight[g, m + i, c, r, s])
                at += height
            m += height


@jit.part()
def terms_side_by_side(weight, T):
    """Say whether the terms of an output channel's sum, `T` a source channel, lie in order in `weight`."""
    item = weight.itemsize
    stride_g, stride_m, stride_c, stride_r, stride_s = weight.strides
    R, S = weight.shape[3], weight.shape[4]
    in_order = stride_s == item and stride_r == S * item and stride_c == R * S * item
    return in_order and T == R * S and (stride_g | stride_m) % item == 0


@jit.part()
def pack_rows(packed, weight, g, m0, m1, term, count, lanes):
    """Copy `count` terms of each row, which lie in order from `term` on: ``packed[row][term]``, widened."""
    item, (stride_g, stride_m, _, _, _) = weight.itemsize, weight.strides
    for m in range(m0, m1):
        start = (g * stride_g + m * stride_m) // item + term
        copy_run(packed, (m - m0) * count, weight, start, count, lanes)
