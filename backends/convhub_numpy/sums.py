"""Long sums in blocks: numbers that are alike, added one after another, err by more than is promised.

Each of n additions of the same number may round the same way, by eps/8 of the result on average, while the
bound is (8 + √n) eps. NumPy adds by pairs along the axis of its innermost loop only, and a BLAS adds some
hundred terms one after another. All that is cut here depends on the sizes alone.
"""

from __future__ import annotations

from math import isqrt

import numpy as np

from convhub.backend import Array

from .tiles import parts

__all__ = ["added_by_pairs", "block", "chain", "group", "sums_of_products"]

#: NumPy's loops over two contiguous rows have at least so many sums side by side.
SIDE_BY_SIDE = 8


def chain(terms: int) -> int:
    """Return how many of so many terms may be added one after another: three quarters of the bound."""
    return max(144, 6 * (8 + isqrt(terms)))


def block(terms: int) -> int:
    """Return how many terms to add before their sum is added to the others: all, or about the square root."""
    return terms if terms <= 144 else max(64, isqrt(terms))


def group(blocks: int, terms: int) -> int:
    """Return how many sums of blocks to add one after another: all, unless these are too many."""
    return max(1, blocks if blocks <= chain(terms) // 2 else isqrt(blocks))


def sums_of_products(dy: Array, x: Array, dtype: np.dtype) -> Array:
    """Return ``Σ dy[n, g, k, p, q] · x[n, g, c, p, q]`` over n, p and q as (G, K, C), in blocks."""
    images, _, _, rows, columns = dy.shape
    most = chain(images * rows * columns)
    side_by_side = dy.strides[-1] == dy.itemsize and x.strides[-1] == x.itemsize
    wide = min(columns, SIDE_BY_SIDE * most if side_by_side else most)
    additions = 1 if side_by_side else max(1, wide)  # in a row
    high = min(rows, max(1, most // additions))
    deep = max(1, most // (additions * max(1, high))) if (high, wide) == (rows, columns) else 1
    found = [
        np.einsum(
            "ngkpq,ngcpq->gkc",
            dy[slice(*n), :, :, slice(*p), slice(*q)],
            x[slice(*n), :, :, slice(*p), slice(*q)],
            dtype=dtype,
            casting="same_kind",
        )
        for n in parts(images, deep)
        for p in parts(rows, high)
        for q in parts(columns, wide)
    ]
    return added_by_pairs(found) if found else np.zeros((*dy.shape[1:3], x.shape[2]), dtype)


def added_by_pairs(arrays: list[Array]) -> Array:
    """Return the sum of arrays of one shape."""
    if len(arrays) == 1:
        return arrays[0]
    # NumPy adds by pairs along an axis that lies side by side.
    total: Array = np.add.reduce(np.stack(arrays, axis=-1), axis=-1, dtype=arrays[0].dtype)
    return total
