"""In which type sums are made, and back to the one that is stored."""

from __future__ import annotations

import numpy as np

from convhub.arrays import numpy_dtype

__all__ = ["DTYPES", "narrow", "widen"]

#: Every class of numbers that has faults of its own.
DTYPES = (
    *("float32", "float64", "float16", "bfloat16"),
    *("complex64", "complex128"),
    *("int8", "int64", "uint8"),
)


def widen(array):
    """Return the array in the type in which it is to be added up, or None for None."""
    if array is not None and array.dtype.name in ("float16", "bfloat16"):
        return array.astype(np.float32)
    return array


def narrow(result, problem):
    """Return a result in the problem's type."""
    return result.astype(numpy_dtype(problem.dtype), copy=False)
