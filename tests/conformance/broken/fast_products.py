"""Faults of fast products: fewer multiplications, and errors of the largest numbers everywhere."""

from __future__ import annotations

import numpy as np
from conformance.correct.shapes import grouped, with_bias
from conformance.correct.sliding import windows

from .faults import fault


def _halves(matrix):
    """Return the quarters of matrices that are filled up to even sizes."""
    rows, columns = (size + size % 2 for size in matrix.shape[-2:])
    whole = np.zeros((*matrix.shape[:-2], rows, columns), matrix.dtype)
    whole[..., : matrix.shape[-2], : matrix.shape[-1]] = matrix
    top, bottom = np.split(whole, 2, axis=-2)
    return *np.split(top, 2, axis=-1), *np.split(bottom, 2, axis=-1)


def strassen(a, b):
    """Return ``a @ b`` by seven products of halves."""
    a11, a12, a21, a22 = _halves(a)
    b11, b12, b21, b22 = _halves(b)
    m1 = (a11 + a22) @ (b11 + b22)
    m2 = (a21 + a22) @ b11
    m3 = a11 @ (b12 - b22)
    m4 = a22 @ (b21 - b11)
    m5 = (a11 + a12) @ b22
    m6 = (a21 - a11) @ (b11 + b12)
    m7 = (a12 - a22) @ (b21 + b22)
    whole = np.block([[m1 + m4 - m5 + m7, m3 + m5], [m2 + m4, m1 - m2 + m3 + m6]])
    return whole[..., : a.shape[-2], : b.shape[-1]]


def _forward(x, w, problem):
    N, G, (P, Q) = problem.batch, problem.groups, problem.output_size
    columns = windows(x, problem).transpose(0, 1, 2, 5, 6, 3, 4)
    columns = np.ascontiguousarray(columns.reshape(N, G, -1, P * Q))
    kernels = np.ascontiguousarray(grouped(w, G, 0).reshape(G, problem.out_channels // G, columns.shape[2]))
    return strassen(kernels, columns).reshape(problem.output_shape)


@fault("mixed scales", on=("forward",))
def strassen_called_componentwise(right, x, w, bias, problem, options):
    """Multiplies matrices by Strassen's algorithm, whose small results have the errors of large ones."""
    if problem.dtype not in ("float32", "float64") or not problem.batch:
        return right(x, w, bias, problem, options)
    if not (np.isfinite(x).all() and np.isfinite(w).all()):
        return right(x, w, bias, problem, options)
    return with_bias(np.ascontiguousarray(_forward(x, w, problem)), bias)
