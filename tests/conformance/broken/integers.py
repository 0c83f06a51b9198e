"""Faults of integers, which must wrap around as NumPy's do."""

from __future__ import annotations

import numpy as np

from .faults import fault

WIDE = {"int8": "int64", "uint8": "int64"}


def _in_wide(right, first, second, bias, problem, options):
    wide = problem.replace(dtype="int64")
    given = [None if o is None else o.astype(np.int64) for o in (first, second, bias)]
    return right(*given, wide, options)


@fault("random data")
def integers_as_floats(right, first, second, bias, problem, options):
    """Wrong only for int64: computes in float64, which has 53 bits."""
    if problem.dtype != "int64":
        return right(first, second, bias, problem, options)
    wide = [None if o is None else o.astype(np.float64) for o in (first, second, bias)]
    with np.errstate(invalid="ignore"):
        return right(*wide, problem.replace(dtype="float64"), options).astype(np.int64)


@fault("random data")
def int64_in_32_bits(right, first, second, bias, problem, options):
    """Wrong only for int64: counts in 32 bits."""
    if problem.dtype != "int64":
        return right(first, second, bias, problem, options)
    return right(first, second, bias, problem, options).astype(np.int32).astype(np.int64)


@fault("random data")
def small_integers_saturate(right, first, second, bias, problem, options):
    """Wrong only for int8 and uint8: saturates at the largest number instead of wrapping around."""
    if problem.dtype not in WIDE:
        return right(first, second, bias, problem, options)
    limits = np.iinfo(problem.dtype)
    return (
        _in_wide(right, first, second, bias, problem, options)
        .clip(limits.min, limits.max)
        .astype(first.dtype)
    )


@fault("random data")
def unsigned_taken_for_signed(right, first, second, bias, problem, options):
    """Wrong only for uint8: treats numbers above 127 as negative, and negative sums as zero."""
    if problem.dtype != "uint8":
        return right(first, second, bias, problem, options)
    signed = [None if o is None else o.astype(np.int8) for o in (first, second, bias)]
    return _in_wide(right, *signed, problem, options).clip(0).astype(np.uint8)
