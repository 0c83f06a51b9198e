"""Computes convolution tap by tap: multiplies a shifted source by one weight, and adds.

For depthwise convolutions, whose matrices would be very narrow, this is the fastest way in NumPy. It
also leaves padding out, where a matrix of columns multiplies it by zero, so it also serves for operands
that are not finite.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from convhub.backend import Array, Problem

from .axes import clips
from .dtypes import sum_dtype
from .plans import Phase, WeightPlan
from .sharing import run
from .sums import added_by_pairs, block, sums_of_products
from .tiles import parts

__all__ = ["gather_by_taps", "weight_by_taps"]

#: The numbers that one call to NumPy multiplies and adds: no signal is handled before it ends.
MOST_AT_ONCE = 2**22


def gather_by_taps(
    source: Array,
    weight: Array,
    bias: Array | None,
    result: Array,
    phase: Phase,
    problem: Problem,
    threads: int,
) -> None:
    """Gather products as `convhub_numpy.gather` does; the source is (N, G, C, H, W)."""
    terms = weight.shape[2]
    length = terms * phase.rows.taps * phase.cols.taps
    at_once = block(length)
    dtype = sum_dtype(problem.dtype)
    weight = weight.astype(dtype)[..., np.newaxis, np.newaxis]

    def work(share: Iterable[int]) -> None:
        for tile in map(phase.tiles.tile, share):
            images = source[tile.image : tile.image_end]
            target = result[tile.places]
            sums = np.zeros(target.shape, dtype)
            totals, added = None, 0
            across = clips(phase.cols, tile.column, tile.column_end)
            for r, (down, from_rows, _) in enumerate(clips(phase.rows, tile.row, tile.row_end)):
                for s, (right, from_cols, _) in enumerate(across):
                    some = sums[..., down, right]
                    seen = images[..., from_rows, from_cols]
                    for c in range(terms):
                        some += np.multiply(seen[:, :, c, np.newaxis], weight[:, :, c, r, s], dtype=dtype)
                        added += 1
                        if added % at_once == 0 and added > at_once:
                            totals += sums
                            sums[...] = 0
                        elif added == at_once < length:
                            totals = sums.copy()
                            sums[...] = 0
            if totals is not None:
                sums += totals
            if bias is not None:
                sums += bias.astype(dtype)[:, :, np.newaxis, np.newaxis]
            target[...] = sums

    run(work, len(phase.tiles), threads)


def weight_by_taps(dy: Array, x: Array, dw: Array, plan: WeightPlan, problem: Problem, threads: int) -> None:
    """Fill `dw`, (G, K/G, C/G, R, S), from `dy`, (N, G, K/G, P, Q), and `x`, (N, G, C/G, H, W)."""
    dtype = sum_dtype(problem.dtype)
    across = clips(plan.cols, 0, plan.cols.results)
    batch, _, heads, height, width = dy.shape
    together = MOST_AT_ONCE // (max(heads, x.shape[2]) * height * width) or 1
    blocks = list(parts(plan.groups, max(1, together // batch)))
    images = [slice(*some) for some in parts(batch, together)]

    def work(share: Iterable[int]) -> None:
        for some in (slice(*blocks[index]) for index in share):
            for r, (down, from_rows, _) in enumerate(clips(plan.rows, 0, plan.rows.results)):
                for s, (right, from_cols, _) in enumerate(across):
                    found = [
                        sums_of_products(
                            dy[part, some, :, down, right], x[part, some, :, from_rows, from_cols], dtype
                        )
                        for part in images
                    ]
                    dw[some, :, :, r, s] = (
                        found[0] if len(found) == 1 else added_by_pairs(np.stack(found, axis=-1))
                    )

    run(work, len(blocks), threads)
