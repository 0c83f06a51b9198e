"""Says in which type numbers are multiplied and added, for each type that they come in."""

from __future__ import annotations

import numpy as np

from convhub.backend import Array, Problem

__all__ = ["DTYPES", "all_finite", "store", "sum_dtype", "work_dtype"]

# What long double is, and its name, depend on the platform; it may be float64 once more.
_LONG = (np.dtype(np.longdouble).name, np.dtype(np.clongdouble).name)
_FLOATS = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES = tuple(dict.fromkeys((*_FLOATS, *_LONG, *_INTEGERS)))

#: Numbers that are looked at in one call to NumPy: no signal is heard before it ends.
MOST_AT_ONCE = 2**24

_SHORT = ("int8", "int16", "uint8", "uint16")


def sum_dtype(dtype: str) -> np.dtype:
    """Return the type in which sums of `dtype` are made: its own, or float32 for the 16-bit floats."""
    return np.dtype(np.float32 if dtype in ("float16", "bfloat16") else dtype)


def work_dtype(problem: Problem) -> np.dtype:
    """Return the type in which matrices are multiplied.

    It is that of the sums, but for integers of 8 and 16 bits, which the BLAS multiplies in float64
    wherever every sum is sure to be exact: a product is below ``2**32``, a sum of up to ``2**20`` of
    them and a bias below ``2**53``. Their last bits, taken by way of int64, are those of a sum that
    wraps around.
    """
    if problem.dtype in _SHORT and problem.terms <= 2**20:
        return np.dtype(np.float64)
    return sum_dtype(problem.dtype)


def store(target: Array, values: Array) -> None:
    """Write sums to where they belong, rounded to its type; integers wrap around."""
    if target.dtype.kind in "iu" and values.dtype.kind == "f":
        values = values.astype(np.int64)
    target[...] = values


def all_finite(array: Array) -> bool:
    """Whether `array` holds neither infinities nor NaN; takes no memory to speak of."""
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
    # A sum may overflow where every number is finite, but no infinity or NaN makes a finite one.
    return bool(np.isfinite(total)) or all(bool(np.isfinite(part).all()) for rows in array for part in rows)
