"""Adds long sums in blocks, since equal numbers added one after another exceed the promised error.

Each of n additions of the same number may round the same way, by eps/8 of the result on average, while the
bound is (8 + √n) eps. NumPy adds by pairs along the axis of its innermost loop only, and a BLAS adds some
hundred terms one after another. Blocks depend only on the sizes.
"""

from __future__ import annotations

from math import isqrt

import numpy as np

from convhub.backend import Array

__all__ = ["added_by_pairs", "block", "chain", "group", "sums_of_products"]

#: NumPy's loops over two contiguous rows keep a vector of sums, as wide as the CPU allows: at least this
#: many bytes. They add vector after vector to it, for up to 8192 numbers.
SSE_BYTES = 16


def chain(terms: int) -> int:
    """Return how many of `terms` terms may be added one after another: three quarters of the bound."""
    return max(144, 6 * (8 + isqrt(terms)))


def block(terms: int) -> int:
    """Return how many terms to add before their sum is added to the others: all, or about the square root."""
    return terms if terms <= 144 else max(64, isqrt(terms))


def group(blocks: int, terms: int) -> int:
    """Return how many sums of blocks to add one after another: all, unless there are too many."""
    return max(1, blocks if blocks <= chain(terms) // 2 else isqrt(blocks))


def sums_of_products(dy: Array, x: Array, dtype: np.dtype) -> Array:
    """Return ``Σ dy[n, g, k, p, q] · x[n, g, c, p, q]`` over n, p and q as (G, K, C), in blocks."""
    terms = dy.shape[0] * dy.shape[3] * dy.shape[4]
    if not terms:
        return np.zeros((*dy.shape[1:3], x.shape[2]), dtype)
    most = chain(terms)
    dy, x, in_a_row = _joined(dy, x)
    images, _, _, rows, columns = dy.shape
    lanes = SSE_BYTES // dtype.itemsize if in_a_row and dtype.kind == "f" else 1
    row = -(-columns // lanes) + 1  # additions, counting that of its sum to the others
    # einsum may copy all terms to a buffer, and add them up in one loop; the axes that it keeps end a loop.
    kept = "" if images * rows * row <= most else "n" if rows * row <= most else "np"
    wide = columns if row <= most else most * lanes // 2
    found = [
        np.einsum(
            f"ngkpbq,ngcpbq->gkc{kept}b",
            dy[..., some].reshape(*dy.shape[:-1], -1, size),
            x[..., some].reshape(*x.shape[:-1], -1, size),
            dtype=dtype,
            order="C",
            casting="same_kind",
        )
        for some, size in _blocks(columns, wide)
    ]
    sums = [each.reshape(*each.shape[:3], -1) for each in found]
    return added_by_pairs(sums[0] if len(sums) == 1 else np.concatenate(sums, axis=-1))


def _blocks(columns: int, wide: int) -> list[tuple[slice, int]]:
    """Return the part that ``wide`` divides and the rest, each with the length of its blocks."""
    whole = columns // wide * wide
    return [
        (some, size)
        for some, size in ((slice(whole), wide), (slice(whole, columns), columns - whole))
        if size
    ]


def _joined(dy: Array, x: Array) -> tuple[Array, Array, bool]:
    """Return views of both with contiguous axes joined to one row, and whether a row is contiguous."""
    joined = min(_side_by_side(dy), _side_by_side(x))
    images, _, _, rows, columns = dy.shape
    if joined >= 2:
        lead = (1,) if joined == 3 else (images,)
        size = (1, images * rows * columns) if joined == 3 else (1, rows * columns)
        dy, x = (array.reshape(*lead, *array.shape[1:3], *size) for array in (dy, x))
    return dy, x, joined > 0


def _side_by_side(array: Array) -> int:
    """Return how many of the axes q, p and n, in this order, are contiguous: einsum makes them one loop."""
    step = array.itemsize
    for count, axis in enumerate((-1, -2, 0)):
        if array.strides[axis] != step and array.shape[axis] > 1:
            return count
        step *= array.shape[axis]
    return 3 if array.shape[1] == array.shape[2] == 1 else 2


def added_by_pairs(array: Array) -> Array:
    """Return the sums over the last axis, which is contiguous; NumPy adds these by pairs."""
    total: Array = array[..., 0] if array.shape[-1] == 1 else np.add.reduce(array, axis=-1, dtype=array.dtype)
    return total
