"""Multiplies matrices in pieces so small that the BLAS does not split them among threads.

A BLAS gives other bits on several threads than on one: it cuts pieces with other edges, where its
kernels add in another order. With OpenBLAS 0.3.31 (in NumPy's wheels) nearly half of 1400 random
products differed between one thread and two, and sizes that are multiples of 64 did not help. But OpenBLAS
computes a product of few multiplications on the thread that calls, whatever its settings (the thresholds
are in its ``interface/gemm.c`` and ``interface/gemv.c``). The pieces here stay below them. 64 cubed reaches
85 percent of the speed of large products, so little is lost, and the engine's own threads, which divide
the results among themselves, take the place of the BLAS's. Other BLAS libraries were not measured.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, isqrt

import numpy as np

from convhub.backend import Array

from .sums import chain

__all__ = ["block_sizes", "fits", "multiply", "multiply_small"]

#: By kind of dtype, for a product of matrices: half of the size from which OpenBLAS uses threads on x86,
#: and just below that size on others (``driver/others``, ``interface/gemm.c``).
MOST_MULTIPLICATIONS = {"f": 2**18 - 1, "c": 2**15}
#: For matrix times vector, which the BLAS does with other code and a lower threshold.
MOST_WITH_A_VECTOR = 4096
#: Rows and columns of a piece, where the product has that many: enough for a kernel to be fast, few
#: enough that its sums stay long, since the parts of a divided sum must be added up.
GOOD_ROWS, GOOD_COLUMNS = 64, 32


@lru_cache(maxsize=1024)
def block_sizes(rows: int, columns: int, terms: int, kind: str) -> tuple[int, int, int]:
    """Return the rows, columns and terms of the pieces of a product."""
    most = _most(rows, columns, kind)
    in_a_row = terms if 1 in (rows, columns) and kind in "fc" else chain(terms)
    if rows * columns * terms <= most and terms <= in_a_row:
        return rows, columns, terms
    # Sums of pieces are added one after another: of many terms, pieces are made long rather than wide.
    good_rows, good_columns = GOOD_ROWS, GOOD_COLUMNS
    while good_rows > 4 and 2 * most // (min(rows, good_rows) * min(columns, good_columns)) < isqrt(terms):
        good_rows, good_columns = good_rows // 2, max(4, good_columns // 2)
    block_rows = _even_part(rows, good_rows)
    block_terms = _even_part(terms, min(in_a_row, most // (block_rows * min(columns, good_columns))))
    block_columns = min(columns, most // (block_rows * block_terms))
    if block_columns == columns:
        block_rows = _even_part(rows, most // (columns * block_terms))
    elif block_columns > 4:
        # Kernels work on 4, 8 or 16 columns at once, and a single remaining column is the slowest.
        block_columns -= block_columns % (16 if block_columns > 16 else 4)
        if columns % block_columns == 1 and block_columns > 4:
            block_columns -= 4
    return block_rows, block_columns, block_terms


def fits(rows: int, columns: int, terms: int, kind: str) -> bool:
    """Say whether the BLAS computes a product on the calling thread, perhaps with its terms divided."""
    return rows * columns * terms <= _most(rows, columns, kind)


def _most(rows: int, columns: int, kind: str) -> int:
    if 1 in (rows, columns):
        return MOST_WITH_A_VECTOR
    return MOST_MULTIPLICATIONS.get(kind, 2**18)


def multiply_small(a: Array, b: Array, step: int) -> Array:
    """Return the matrix products ``a @ b`` of stacks that `fits` says are small, `step` terms at a time."""
    terms = a.shape[2]
    if step >= terms:
        return np.matmul(a, b)
    total: Array = np.matmul(a[:, :, :step], b[:, :step])
    for start in range(step, terms, step):
        total += np.matmul(a[:, :, start : start + step], b[:, start : start + step])
    return total


def _even_part(total: int, most: int) -> int:
    return ceil(total / ceil(total / most))


def multiply(a: Array, b: Array, out: Array, scratch: Array, add: bool = False) -> None:
    """Set ``out`` to the matrix products ``a @ b``, or add them to it.

    Every element is summed in an order that depends only on the sizes.

    Parameters
    ----------
    a, b, out : ndarray
        Stacks (G, M, L), (G, L, N) and (G, M, N) of matrices, of one dtype; one axis of each matrix
        has unit stride.
    scratch : ndarray
        One-dimensional, of the same dtype, with as many elements as `out`.
    add : bool
        Whether to add to what `out` holds.
    """
    groups, rows, terms = a.shape
    columns = b.shape[-1]
    kind = a.dtype.kind
    m, n, k = block_sizes(rows, columns, terms, kind)
    if m == rows and n == columns and k == terms and not add:
        np.matmul(a, b, out=out)
        return
    whole = columns // n * n
    if whole < columns:
        rest = slice(whole, columns)
        multiply(a, b[:, :, rest], out[:, :, rest], scratch, add)
    # (G, L, whole) seen as (whole / n, G, L, n): the pieces side by side become a stack for one call.
    pieces = whole // n
    stack = b[:, :, :whole].reshape(groups, terms, pieces, n).transpose(2, 0, 1, 3)
    for top in range(0, rows, m):
        some = slice(top, min(top + m, rows))
        target = out[:, some, :whole]
        partial = scratch[: target.size].reshape(target.shape)
        for start in range(0, terms, k):
            part = slice(start, min(start + k, terms))
            first = start == 0 and not add
            into = (target if first else partial).reshape(groups, -1, pieces, n).transpose(2, 0, 1, 3)
            np.matmul(a[:, some, part], stack[:, :, part], out=into)
            if not first:
                target += partial
