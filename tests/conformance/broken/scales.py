"""Faults of data: very different scales, the ends of a type's range, infinities, NaN in a bias."""

from __future__ import annotations

import numpy as np
from conformance.correct.widths import narrow, widen

from convhub.arrays import numpy_dtype

from .faults import fault


def _kind(problem):
    return numpy_dtype(problem.dtype).kind


def _is_real(problem):
    return _kind(problem) not in "iuc"


@fault("mixed scales")
def operand_in_16_bits_of_its_largest(right, first, second, bias, problem, options):
    """Quantizes the first operand to 24 bits of its largest number, which is enough for equal scales only."""
    if problem.dtype != "float32" or not np.isfinite(first).all() or not first.any():
        return right(first, second, bias, problem, options)
    step = np.exp2(np.ceil(np.log2(np.abs(first).max()))) * 2.0**-26
    rounded = (np.rint(first / np.float64(step)) * step).astype(first.dtype)
    return right(rounded, second, bias, problem, options)


@fault("mixed scales")
def operands_added_before_they_are_multiplied(right, first, second, bias, problem, options):
    """Computes a·b as ((a+b)² − (a−b)²)/4 as fast products do: small results drown."""
    result = right(first, second, bias, problem, options)
    if problem.dtype not in ("float32", "float64") or not result.size or not np.isfinite(result).all():
        return result
    largest = np.abs(result).max()
    return (result + largest) - largest


@fault("ends of range")
def integers_saturate(right, first, second, bias, problem, options):
    """Wrong only for integers of at most 32 bits: sums that are too large become the largest number."""
    if _kind(problem) not in "iu" or first.itemsize > 4:
        return right(first, second, bias, problem, options)
    given = [None if a is None else a.astype(np.float64) for a in (first, second, bias)]
    sums = right(*given, problem.replace(dtype="float64"), options)
    limits = np.iinfo(first.dtype)
    return np.clip(sums, limits.min, limits.max).astype(first.dtype)


@fault("ends of range")
def products_of_integers_in_float64(right, first, second, bias, problem, options):
    """Wrong only for integers of 64 bits in the middle of their range: adds them up as float64."""
    if problem.dtype != "int64" or not _is_small(first, second, problem):
        return right(first, second, bias, problem, options)
    given = [None if a is None else a.astype(np.float64) for a in (first, second, bias)]
    return right(*given, problem.replace(dtype="float64"), options).astype(first.dtype)


def _is_small(first, second, problem):
    """Return whether no sum can leave the range of the type."""
    largest = [float(np.abs(a.astype(np.float64)).max(initial=0)) for a in (first, second)]
    return largest[0] * largest[1] * problem.terms < np.iinfo(first.dtype).max


@fault("ends of range")
def float16_clipped_at_its_largest(right, first, second, bias, problem, options):
    """Wrong only in float16: a sum that is too large becomes the largest number, not infinity."""
    result = right(first, second, bias, problem, options)
    if problem.dtype != "float16" or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return result
    return np.clip(result, np.float16(-65504), np.float16(65504))


@fault("ends of range")
def float16_results_flushed(right, first, second, bias, problem, options):
    """Wrong only in float16: results that are subnormal become zero."""
    result = right(first, second, bias, problem, options)
    if problem.dtype == "float16":
        result[np.abs(result) < np.finfo(np.float16).smallest_normal] = 0
    return result


@fault("exact integers")
def subnormal_results_flushed(right, first, second, bias, problem, options):
    """Results that are subnormal become zero; operands that are do not."""
    result = right(first, second, bias, problem, options)
    if problem.dtype in ("float32", "float64"):
        result[np.abs(result) < np.finfo(result.dtype).smallest_normal] = 0
    return result


@fault("nonfinite")
def infinity_made_nan(right, first, second, bias, problem, options):
    """Subtracts the largest result and adds it again, so that infinity becomes NaN."""
    result = right(first, second, bias, problem, options)
    if _is_real(problem):
        result[np.isinf(result)] = np.nan
    return result


@fault("nonfinite")
def infinity_without_its_sign(right, first, second, bias, problem, options):
    """Results that are infinite are all positive."""
    result = right(first, second, bias, problem, options)
    if _is_real(problem):
        result[np.isinf(result)] = np.inf
    return result


@fault("nonfinite")
def nan_of_the_second_operand_skipped(right, first, second, bias, problem, options):
    """Leaves out factors of the second operand that are not finite, as tests for sparse data do."""
    if _kind(problem) not in "iu":
        second = np.where(np.isfinite(widen(second)), second, np.zeros_like(second))
    return right(first, second, bias, problem, options)


@fault("nonfinite", on=("forward",))
def bias_multiplied_in(right, x, w, bias, problem, options):
    """Adds the bias as one more channel of ones and zeros, so that NaN reaches all others."""
    result = right(x, w, bias, problem, options)
    if bias is not None and _is_real(problem) and not np.isfinite(bias).all():
        result = narrow(widen(result) + 0 * widen(bias).sum(), problem)
    return result
