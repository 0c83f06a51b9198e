"""Measures this machine's peak rates with NumPy: the roof of the roofline.

convhub knows no engine by name, so it measures what every installation has: NumPy's matrix product, by the
BLAS that NumPy comes with, and a copy of a large array.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

__all__ = ["Peak", "measure_peak"]

#: Rows of the square matrices; bytes of the copied array, beyond the caches of most processors.
SIZE, COPIED = 1536, 256 * 2**20


@dataclass(frozen=True, slots=True)
class Peak:
    """The best of a few matrix products, and of a few copies (bytes read and bytes written both count)."""

    gflops: float
    gigabytes_per_second: float
    dtype: str
    threads: int

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return (
            f"{self.gflops:.0f} GF/s in NumPy's matrix product ({self.dtype}, {threads}), "
            f"{self.gigabytes_per_second:.0f} GB/s in a copy"
        )


def measure_peak(dtype: str, threads: int, *, size: int = SIZE, copied: int = COPIED) -> Peak:
    """Measure both, in a second or two.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        The type of the matrices.
    threads : int
        How many threads copy. Those of BLAS are set in the process's environment before NumPy is imported.
    size, copied : int
        Rows of the matrices, and bytes of the array.
    """
    matrix = np.random.default_rng(0).standard_normal((size, size)).astype(dtype)
    result = np.empty_like(matrix)
    product = _least(lambda: np.matmul(matrix, matrix, out=result))
    source, target = np.ones((2, threads, copied // 8 // threads))
    with ThreadPoolExecutor(threads) as pool:
        copy = _least(lambda: list(pool.map(np.copyto, target, source)))
    return Peak(2e-9 * size**3 / product, 2e-9 * source.nbytes / copy, dtype, threads)


def _least(function: Callable[[], object], rounds: int = 6) -> float:
    """Return the least time of a call in seconds, without the first, which touches new memory."""
    function()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
