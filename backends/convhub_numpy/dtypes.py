"""Chooses the types in which numbers of each type are multiplied and added."""

from __future__ import annotations

import numpy as np

from convhub.backend import Array, Problem

__all__ = ["DTYPES", "all_finite", "store", "sum_dtype", "work_dtype"]

# The size of long double and its name depend on the platform; it may be the same as float64.
_LONG = (np.dtype(np.longdouble).name, np.dtype(np.clongdouble).name)
_FLOATS = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES = tuple(dict.fromkeys((*_FLOATS, *_LONG, *_INTEGERS)))

#: The numbers checked in one call to NumPy: no signal is handled before it ends.
MOST_AT_ONCE = 2**24

_SHORT = ("int8", "int16", "uint8", "uint16")


def sum_dtype(dtype: str) -> np.dtype:
    """Return the type in which `dtype` is summed: `dtype` itself, or float32 for the 16-bit floats."""
    return np.dtype(np.float32 if dtype in ("float16", "bfloat16") else dtype)


def work_dtype(problem: Problem) -> np.dtype:
    """Return the type in which matrices are multiplied.

    It is that of the sums, except for integers of 8 and 16 bits, which the BLAS multiplies in float64
    wherever every sum is sure to be exact: a product is below ``2**32``, a sum of up to ``2**20`` of
    them and a bias below ``2**53``. Converted to int64, their last bits are those of a sum that wraps
    around.
    """
    if problem.dtype in _SHORT and problem.terms <= 2**20:
        return np.dtype(np.float64)
    return sum_dtype(problem.dtype)


def store(target: Array, values: Array) -> None:
    """Write sums to `target`, rounded to its type; integers wrap around."""
    if target.dtype.kind in "iu" and values.dtype.kind == "f":
        values = values.astype(np.int64)
    target[...] = values


def all_finite(array: Array) -> bool:
    """Say whether `array` holds neither infinities nor NaN; takes hardly any memory."""
    if array.dtype.kind in "iu":
        return True
    if array.size < 4096:
        return bool(np.isfinite(array).all())
    if array.size > MOST_AT_ONCE:
        if len(array) == 1:
            return all_finite(array[0])
        step = -(-len(array) * MOST_AT_ONCE // (2 * array.size))
        return all(all_finite(array[i : i + step]) for i in range(0, len(array), step))
    with np.errstate(all="ignore"):
        total = np.add.reduce(array, axis=None, dtype=sum_dtype(array.dtype.name))
    # A sum of finite numbers may overflow, but no sum with an infinity or NaN is finite.
    return bool(np.isfinite(total)) or all(bool(np.isfinite(part).all()) for rows in array for part in rows)
