"""Recomputes as plain sums the elements that Winograd's algorithm has made NaN or infinite.

The elements of a tile share its pixels, so that one NaN or infinity reaches all of them, even those whose
own products do not contain it. These kernels are compiled when they are first needed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ... import jit
from ...chains import RUN
from ...runtime.interrupts import LOOK_EVERY, told_to_stop
from ...vectors.half import narrow_for, widen

__all__ = ["Geometry", "recompute", "recompute_weight"]


class Geometry(NamedTuple):
    """The steps and the padding of a problem, and whether it is grad_input."""

    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    top: int
    left: int
    spread: int


@jit.kernel()
def recompute(first, last, watch, out, source, weight, bias, sizes):
    """Recompute the elements that are not finite in planes `first` to `last` of ``out``.

    `weight` is (groups, M, C, R, S).
    """
    M = weight.shape[1]
    for plane in range(first, last):
        n, channel = plane // out.shape[1], plane % out.shape[1]
        for a in range(out.shape[2]):
            for b in range(out.shape[3]):
                if b % LOOK_EVERY == 0 and told_to_stop(watch):
                    return
                if not np.isfinite(out[n, channel, a, b]):
                    total = bias[channel] + plain_sum(
                        source, weight, sizes, n, channel // M, channel % M, a, b
                    )
                    out[n, channel, a, b] = narrow_for(total, out)


@jit.part()
def plain_sum(source, weight, sizes, n, g, m, a, b):
    """Return one output without its bias: a plain sum for each channel, and these added in runs."""
    C, H, W = weight.shape[2], source.shape[2], source.shape[3]
    total = run = widen(source.dtype.type(0))
    zero = total
    for c in range(C):
        part = zero
        for r in range(weight.shape[3]):
            for s in range(weight.shape[4]):
                if sizes.spread:
                    h, w = a + sizes.top - r * sizes.dilation_h, b + sizes.left - s * sizes.dilation_w
                    if h % sizes.stride_h or w % sizes.stride_w:
                        continue
                    h, w = h // sizes.stride_h, w // sizes.stride_w
                else:
                    h = a * sizes.stride_h - sizes.top + r * sizes.dilation_h
                    w = b * sizes.stride_w - sizes.left + s * sizes.dilation_w
                if 0 <= h < H and 0 <= w < W:
                    part += widen(weight[g, m, c, r, s]) * widen(source[n, g * C + c, h, w])
        run += part
        if run != run:  # NaN, and nothing will change it
            return run
        if c % RUN == RUN - 1:
            total += run
            run = zero
    return total + run


@jit.kernel()
def recompute_weight(first, last, watch, dw, dy, x, sizes):
    """Recompute non-finite elements of kernels `first` to `last`, output channel by input channel."""
    K, C = dw.shape[0], dw.shape[1]
    M = K * C // x.shape[1]
    for kernel in range(first, last):
        k, c = kernel // C, kernel % C
        for r in range(dw.shape[2]):
            for s in range(dw.shape[3]):
                if not np.isfinite(dw[k, c, r, s]):
                    dw[k, c, r, s] = narrow_for(
                        plain_weight_sum(watch, dy, x, sizes, k, k // M * C + c, r, s), dw
                    )


@jit.part()
def plain_weight_sum(watch, dy, x, sizes, k, channel, r, s):
    """Return one element of ``dw``, as sums of runs of terms."""
    total = run = widen(dy.dtype.type(0))
    part, terms = total, 0
    zero = total
    for n in range(dy.shape[0]):
        for p in range(dy.shape[2]):
            if p % LOOK_EVERY == 0 and told_to_stop(watch):
                return total
            h = p * sizes.stride_h + r * sizes.dilation_h - sizes.top
            if not 0 <= h < x.shape[2]:
                continue
            for q in range(dy.shape[3]):
                w = q * sizes.stride_w + s * sizes.dilation_w - sizes.left
                if 0 <= w < x.shape[3]:
                    part += widen(dy[n, k, p, q]) * widen(x[n, channel, h, w])
                    terms += 1
                    if terms % RUN == 0:
                        run += part
                        part = zero
                        if terms == RUN * RUN:
                            total += run
                            run, terms = zero, 0
        if total + run != total + run:  # NaN, and nothing will change it
            return total + run
    return total + run + part
