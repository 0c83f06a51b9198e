"""Transforms arrays on a grid, and multiplies spectra."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import fft

from convhub.backend import Array

from .plan import cut

__all__ = ["from_spectrum", "multiply_add", "quiet", "spectrum"]

#: The most multiplications in one product of complex matrices. Up to this number OpenBLAS stays on the
#: calling thread (see its interface/gemm.c), so that no more threads run than `RunOptions.threads` allows.
MOST_MULTIPLICATIONS = 2**15


def quiet() -> np.errstate:
    """Return a context without warnings, since results that are not finite are recomputed, and warn then."""
    return np.errstate(over="ignore", invalid="ignore")


def spectrum(laid: Array, threads: int) -> Array:
    """Return the transform of real numbers on a grid, with the axes after the groups as matrices."""
    transformed = fft.rfft2(laid, axes=(0, 1), workers=threads)
    return transformed.reshape(*transformed.shape[:4], -1)


def from_spectrum(product: Array, shape: tuple[int, int], threads: int) -> Array:
    """Return the numbers on a grid of `shape` whose spectrum is `product`, which is overwritten."""
    return fft.irfft2(product, s=shape, axes=(0, 1), workers=threads, overwrite_x=True)


def multiply_add(total: Array | None, a: Array, b: Array, threads: int) -> Array:
    """Return the sum of `total`, which is overwritten, and of the product ``a @ b`` at each frequency."""
    terms = a.shape[-1]
    products = np.empty((*a.shape[:-1], b.shape[-1]), a.dtype)
    pieces = cut(b.shape[-1], max(1, MOST_MULTIPLICATIONS // (a.shape[-2] * terms)))

    def multiply(rows: slice) -> None:
        with quiet():  # threads do not inherit this context
            if terms == 1:
                np.multiply(a[rows], b[rows], out=products[rows])
            else:
                for piece in pieces:
                    np.matmul(a[rows], b[rows, ..., piece], out=products[rows, ..., piece])
            if total is not None:
                total[rows] += products[rows]

    if threads == 1:
        multiply(slice(None))
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(multiply, cut(len(products), -(-len(products) // threads))))
    return products if total is None else total
