"""Faults that only special values show: NaN, infinity, subnormal and very small numbers."""

from __future__ import annotations

import numpy as np
from conformance.correct.widths import narrow, widen

from convhub.arrays import numpy_dtype

from .faults import fault


def _is_float(problem):
    return numpy_dtype(problem.dtype).kind not in "iu"


@fault("nonfinite")
def nan_swallowed(right, first, second, bias, problem, options):
    """Treats NaN as zero."""
    if _is_float(problem):
        first, second = (np.where(np.isnan(o), np.zeros_like(o), o) for o in (first, second))
    return right(first, second, bias, problem, options)


@fault("nonfinite")
def nan_lost_in_a_maximum(right, first, second, bias, problem, options):
    """Bounds the result by a comparison, which NaN never passes, so that NaN becomes the bound."""
    result = right(first, second, bias, problem, options)
    if _is_float(problem):
        result = np.where(np.abs(result) < np.inf, result, np.zeros_like(result))
    return result


@fault("nonfinite")
def infinity_clipped(right, first, second, bias, problem, options):
    """Wrong only for real numbers: clips the first operand to the range of its type."""
    if problem.dtype in ("float32", "float64"):
        largest = np.finfo(first.dtype).max
        first = np.clip(first, -largest, largest)
    return right(first, second, bias, problem, options)


@fault("nonfinite")
def nan_everywhere(right, first, second, bias, problem, options):
    """Lets a NaN anywhere reach every result, as a mean over the image would."""
    result = right(first, second, bias, problem, options)
    return narrow(widen(result) + 0 * widen(first).sum(), problem) if _is_float(problem) else result


@fault("exact integers")
def subnormals_flushed(right, first, second, bias, problem, options):
    """Treats subnormal operands as zero, as processors do in flush-to-zero mode."""
    if not _is_float(problem):
        return right(first, second, bias, problem, options)
    return right(_flushed(first, problem), _flushed(second, problem), bias, problem, options)


def _flushed(array, problem):
    smallest = _smallest_normal(problem.dtype)
    if array.dtype.kind == "c":
        return (_flushed(array.real, problem) + 1j * _flushed(array.imag, problem)).astype(array.dtype)
    return np.where(np.abs(array) < smallest, np.zeros_like(array), array)


def _smallest_normal(dtype):
    if dtype == "bfloat16":
        return numpy_dtype(dtype).type(2.0**-126)
    return np.finfo(dtype).tiny


@fault("exact integers")
def small_results_flushed(right, first, second, bias, problem, options):
    """Wrong only for float32 and float64: treats results below 1e-8 as noise, and makes them zero."""
    result = right(first, second, bias, problem, options)
    if problem.dtype in ("float32", "float64"):
        result[np.abs(result) < 1e-8] = 0
    return result
