"""Faults that only NaN, infinities and the ends of a type's range show."""

from __future__ import annotations

import dataclasses

import numpy as np
from conformance.correct.widths import narrow, widen

from .faults import fault


def _is_float(array):
    return array.dtype.kind not in "iu"


def _wide(right, first, second, bias, problem, options):
    """Return the result before it is rounded to float16 or bfloat16."""
    wide = "complex64" if problem.dtype.startswith("complex") else "float32"
    given = (widen(first), widen(second), widen(bias))
    return right(*given, dataclasses.replace(problem, dtype=wide), options)


@fault("nonfinite", on=("forward",))
def nan_in_the_bias_lost(right, first, second, bias, problem, options):
    """Wrong only for NaN in the bias: it counts as zero."""
    if bias is not None and _is_float(bias):
        bias = np.where(np.isnan(bias), np.zeros_like(bias), bias)
    return right(first, second, bias, problem, options)


@fault("nonfinite", on=("grad_input",))
def infinity_in_the_bias_lost(right, first, second, bias, problem, options):
    """Wrong only for infinity in the bias: it is clipped to the largest number."""
    if bias is not None and bias.dtype.kind == "f":
        largest = np.finfo(bias.dtype).max
        bias = np.where(np.isinf(bias), np.sign(bias) * largest, bias).astype(bias.dtype)
    return right(first, second, bias, problem, options)


@fault("nonfinite", on=("forward",))
def nan_in_one_bias_spreads(right, first, second, bias, problem, options):
    """Wrong only for NaN in the bias: it reaches the next channel too."""
    result = right(first, second, bias, problem, options)
    if bias is not None and _is_float(bias):
        bad = np.roll(np.isnan(bias), 1)
        result[:, bad] = np.nan
    return result


@fault("nonfinite", on=("forward", "grad_input"))
def nan_in_the_weight_lost(right, first, w, bias, problem, options):
    """Wrong only for NaN in the weight: a test for a non-zero weight by a comparison skips it."""
    if _is_float(w):
        w = np.where(np.isnan(w), np.zeros_like(w), w)
    return right(first, w, bias, problem, options)


@fault("nonfinite", on=("forward",))
def nan_in_the_first_operand_lost(right, first, second, bias, problem, options):
    """Wrong only for NaN in the first operand: the maximum with the lowest number removes it."""
    if _is_float(first):
        first = np.where(np.isnan(first), np.zeros_like(first), first)
    return right(first, second, bias, problem, options)


@fault("nonfinite", on=("grad_input",))
def infinity_in_the_second_operand_clipped(right, first, second, bias, problem, options):
    """Wrong only for infinity in the second operand: it is clipped to the largest number."""
    if second.dtype.kind == "f":
        largest = np.finfo(second.dtype).max
        second = np.where(np.isinf(second), np.sign(second) * largest, second).astype(second.dtype)
    return right(first, second, bias, problem, options)


@fault("nonfinite", on=("grad_weight",))
def infinity_becomes_nan(right, first, second, bias, problem, options):
    """Wrong only for infinite results: a compensated sum subtracts infinity from itself."""
    result = right(first, second, bias, problem, options)
    if result.dtype.kind in "fV":
        result[np.isinf(result)] = np.nan
    return result


@fault("nonfinite", on=("forward",))
def nan_becomes_infinity(right, first, second, bias, problem, options):
    """Wrong only for NaN in the result: cutting off its lower half leaves infinity."""
    result = right(first, second, bias, problem, options)
    if _is_float(result):
        result[np.isnan(result)] = np.inf
    return result


@fault("nonfinite", on=("grad_weight",))
def negative_infinity_loses_its_sign(right, first, second, bias, problem, options):
    """Wrong only for negative infinity in the result: it becomes positive."""
    result = right(first, second, bias, problem, options)
    if result.dtype.kind in "fV":
        result[np.isinf(result)] = np.inf
    return result


@fault("nonfinite", on=("forward",))
def nan_reaches_other_images(right, first, second, bias, problem, options):
    """Wrong only for NaN in an image: a rescaling by the largest of all reaches the other images."""
    result = right(first, second, bias, problem, options)
    if _is_float(first) and problem.batch > 1 and np.isnan(first[0]).any():
        result[:] = np.nan
    return result


@fault("nonfinite", on=("grad_input",))
def nan_reaches_other_groups(right, first, second, bias, problem, options):
    """Wrong only for NaN with groups: those of zero weight between groups are multiplied with it."""
    result = right(first, second, bias, problem, options)
    if problem.groups > 1 and _is_float(result):
        axis = 0 if problem.primitive == "grad_weight" else 1
        others = tuple(a for a in range(4) if a != axis)
        if np.isnan(result).all(axis=others).any() or np.isnan(first).any():
            result[...] = np.nan
    return result


@fault("nonfinite", on=("forward",))
def nan_reaches_its_row(right, first, second, bias, problem, options):
    """Wrong only for NaN in the first operand: a transform of rows spreads it over the row of the result."""
    result = right(first, second, bias, problem, options)
    if _is_float(result):
        result[np.broadcast_to(np.isnan(result).any(-1, keepdims=True), result.shape)] = np.nan
    return result


@fault("nonfinite", on=("forward",))
def infinity_of_float16_is_65536(right, first, second, bias, problem, options):
    """Wrong only for infinity in float16: its exponent is read as that of a number."""
    if problem.dtype != "float16":
        return right(first, second, bias, problem, options)
    first = np.where(np.isinf(first), np.sign(widen(first)) * np.float32(65536), widen(first))
    return narrow(_wide(right, first, second, bias, problem, options), problem)


@fault("nonfinite", on=("grad_input",))
def float16_saturates(right, first, second, bias, problem, options):
    """Wrong only for sums above the range of float16: stores the largest number instead of infinity."""
    result = right(first, second, bias, problem, options)
    if problem.dtype == "float16" and np.isfinite(first).all() and np.isfinite(second).all():
        result = np.where(np.isinf(result), np.sign(result) * np.float16(65504), result).astype(np.float16)
    return result


@fault("exact integers", on=("forward", "grad_input"))
def small_operands_scaled_down(right, first, second, bias, problem, options):
    """Wrong only near the lower end of the range: the second operand is scaled by 1/64 and back."""
    if problem.dtype not in ("float32", "float64"):
        return right(first, second, bias, problem, options)
    factor = second.dtype.type(64)
    result = right(first, second / factor, None, problem, options) * factor
    return result if bias is None else result + bias[:, None, None]


def _flushed(array):
    if array is None or array.dtype.kind != "f":
        return array
    return np.where(np.abs(array) < np.finfo(array.dtype).tiny, array * 0, array)


@fault("exact integers", on=("forward",))
def subnormal_float64_flushed(right, first, second, bias, problem, options):
    """Wrong only for subnormal float64 in the first operand: they count as zero."""
    return right(_flushed(first) if problem.dtype == "float64" else first, second, bias, problem, options)


@fault("exact integers", on=("grad_input",))
def subnormal_float16_flushed(right, first, second, bias, problem, options):
    """Wrong only for subnormal float16 in the first operand: the conversion has no case for them."""
    return right(_flushed(first) if problem.dtype == "float16" else first, second, bias, problem, options)


@fault("exact integers", on=("forward",))
def subnormal_bias_flushed(right, first, second, bias, problem, options):
    """Wrong only for subnormal numbers in the bias: they count as zero."""
    return right(first, second, _flushed(bias), problem, options)


@fault("exact integers", on=("forward",))
def subnormal_bfloat16_flushed(right, first, second, bias, problem, options):
    """Wrong only for subnormal bfloat16 in an operand: they count as zero."""
    if problem.dtype == "bfloat16":
        small = np.float32(np.finfo(np.float32).tiny)
        first, second = (np.where(np.abs(widen(o)) < small, o * 0, o) for o in (first, second))
    return right(first, second, bias, problem, options)


@fault("exact integers", on=("grad_input",))
def subnormal_results_of_float16_flushed(right, first, second, bias, problem, options):
    """Wrong only for subnormal results in float16: they become zero."""
    result = right(first, second, bias, problem, options)
    return _flushed(result) if problem.dtype == "float16" else result


@fault("exact integers", on=("grad_weight",))
def subnormal_parts_of_complex_flushed(right, first, second, bias, problem, options):
    """Wrong only for complex numbers with a subnormal part: it counts as zero."""
    if not problem.dtype.startswith("complex"):
        return right(first, second, bias, problem, options)
    return right(_flushed(first.real) + 1j * _flushed(first.imag), second, bias, problem, options).astype(
        problem.dtype
    )


@fault("exact integers", on=("forward",))
def gradual_underflow_of_results_lost(right, first, second, bias, problem, options):
    """Wrong only for subnormal results of float32 and float64: they become zero."""
    result = right(first, second, bias, problem, options)
    return _flushed(result) if problem.dtype in ("float32", "float64") else result
