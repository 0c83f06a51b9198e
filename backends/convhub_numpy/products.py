"""Matrix products in pieces so small that the BLAS does not split them among threads.

A BLAS on several threads gives other bits than on one: the pieces that it makes have other edges, and
its kernels add in another order there. With OpenBLAS 0.3.31 (in NumPy's wheels) nearly half of 1400 random
products differed between one thread and two, and sizes that are multiples of 64 did not help. But OpenBLAS
computes a product of few multiplications on the thread that calls, whatever its settings (the thresholds
are in its ``interface/gemm.c`` and ``interface/gemv.c``). The pieces here stay below them. 64 cubed reaches
85 percent of the speed of large products, so little is lost, and the engine's own threads, which divide
the results among themselves, take the place of the BLAS's. Other BLAS libraries were not measured.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil

import numpy as np

from convhub.backend import Array

__all__ = ["multiply"]

#: By kind of dtype, for a product of matrices: half of where OpenBLAS begins to use threads on x86, and
#: just below where it does on others (``driver/others``, ``interface/gemm.c``).
MOST_MULTIPLICATIONS = {"f": 2**18 - 1, "c": 2**15}
#: For matrix times vector, which the BLAS does with other code and a lower threshold.
MOST_WITH_A_VECTOR = 4096
#: Rows and columns of a piece, where the product has as many: enough for a kernel to be fast, few
#: enough that its sums stay long, since the parts of a sum that is cut must be added up.
GOOD_ROWS, GOOD_COLUMNS = 64, 32


@lru_cache(maxsize=1024)
def block_sizes(rows: int, columns: int, terms: int, kind: str) -> tuple[int, int, int]:
    """Return the rows, columns and terms of the pieces of a product."""
    vector = rows == 1 or columns == 1
    most = MOST_WITH_A_VECTOR if vector else MOST_MULTIPLICATIONS.get(kind, 2**18)
    if rows * columns * terms <= most:
        return rows, columns, terms
    block_rows = _even_part(rows, GOOD_ROWS)
    block_terms = _even_part(terms, most // (block_rows * min(columns, GOOD_COLUMNS)))
    block_columns = min(columns, most // (block_rows * block_terms))
    if block_columns == columns:
        block_rows = _even_part(rows, most // (columns * block_terms))
    elif block_columns > 4:
        # Kernels work on 4, 8 or 16 columns at once, and a single column left over is slowest of all.
        block_columns -= block_columns % (16 if block_columns > 16 else 4)
        if columns % block_columns == 1 and block_columns > 4:
            block_columns -= 4
    return block_rows, block_columns, block_terms


def _even_part(total: int, most: int) -> int:
    return ceil(total / ceil(total / most))


def multiply(a: Array, b: Array, out: Array, scratch: Array, add: bool = False) -> None:
    """Set ``out`` to the matrix products ``a @ b``, or add them to it.

    Every element is summed in an order that depends on the sizes alone.

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
