"""Computes anything by plain loops without scratch memory, where tiles do not fit the workspace limit.

Every sum is taken in runs of at most 128 terms, and these in runs of 128 again, so that the error grows with
the square root of the number of terms even where all are alike.
"""

from __future__ import annotations

from ... import jit
from ...chains import RUN
from ...runtime.interrupts import LOOK_EVERY, told_to_stop
from ...vectors.half import narrow_for, widen

__all__ = ["correlate", "grad_weight"]


@jit.kernel()
def correlate(first, last, watch, out, source, weight, bias, row_taps, column_taps, sizes):
    """Compute channels `first` to `last` of all images' channels, numbered ``n * channels + channel``.

    `weight` is (groups, M, C, R, S); the taps of each axis have rows (kernel index, shift); `sizes` is
    (first row, row step, rows, first column, column step, columns, source row step, source column step).
    """
    groups, M, C = weight.shape[0], weight.shape[1], weight.shape[2]
    H, W = source.shape[2], source.shape[3]
    zero = bias.dtype.type(0)
    for task in range(first, last):
        n, channel = task // (groups * M), task % (groups * M)
        g, m = channel // M, channel % M
        for a in range(sizes[2]):
            for b in range(sizes[5]):
                if b % LOOK_EVERY == 0 and told_to_stop(watch):
                    return
                total = bias[channel]
                run = part = zero
                terms = 0
                for c in range(C):
                    for i in range(row_taps.shape[0]):
                        h = a * sizes[6] + row_taps[i, 1]
                        if h < 0 or h >= H:
                            continue
                        for j in range(column_taps.shape[0]):
                            w = b * sizes[7] + column_taps[j, 1]
                            if w < 0 or w >= W:
                                continue
                            factor = widen(weight[g, m, c, row_taps[i, 0], column_taps[j, 0]])
                            part += factor * widen(source[n, g * C + c, h, w])
                            terms += 1
                            if terms % RUN == 0:
                                run += part
                                part = zero
                                if terms == RUN * RUN:
                                    total += run
                                    run = zero
                                    terms = 0
                row, column = sizes[0] + a * sizes[1], sizes[3] + b * sizes[4]
                out[n, channel, row, column] = narrow_for(total + run + part, out)


@jit.kernel()
def grad_weight(first, last, watch, dw, dy, x, shifts, sizes):
    """Compute rows `first` to `last` of ``dw`` seen as (K * C, R, S).

    `sizes` is (stride_h, stride_w, dilation_h, dilation_w); `shifts` is (top, left).
    """
    K, C, R, S = dw.shape
    N, _, P, Q = dy.shape
    H, W = x.shape[2], x.shape[3]
    groups = x.shape[1] // C
    zero = widen(dw.dtype.type(0))
    for task in range(first, last):
        k, c = task // C, task % C
        channel = k // (K // groups) * C + c
        for r in range(R):
            for s in range(S):
                total = run = part = zero
                terms = 0
                for n in range(N):
                    for p in range(P):
                        if p % LOOK_EVERY == 0 and told_to_stop(watch):
                            return
                        h = p * sizes[0] + r * sizes[2] - shifts[0]
                        if 0 <= h < H:
                            for q in range(Q):
                                w = q * sizes[1] + s * sizes[3] - shifts[1]
                                if 0 <= w < W:
                                    part += widen(dy[n, k, p, q]) * widen(x[n, channel, h, w])
                                    terms += 1
                                    if terms % RUN == 0:
                                        run += part
                                        part = zero
                                        if terms == RUN * RUN:
                                            total += run
                                            run = zero
                                            terms = 0
                dw[k, c, r, s] = narrow_for(total + run + part, dw)
