"""Faults of arithmetic: fewer bits than promised, or an accuracy class that is not kept."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
from conformance.correct import fft
from conformance.correct.widths import narrow, widen

from convhub.reference import samples
from convhub.reference.bounds import LONG

from .faults import fault

SUMS = ("random data", "positive data")

#: Up to how many products a sum is walked through product by product; more would take too long here.
WALKED = 10**5

NARROWER = {"float64": np.float32, "complex128": np.complex64}


def _as(dtype, *operands):
    return [None if o is None else o.astype(dtype) for o in operands]


@fault(*SUMS, "agrees with torch")
def float32_inside_float64(right, first, second, bias, problem, options):
    """Computes float64 and complex128 with half as many bits."""
    dtype = NARROWER.get(problem.dtype)
    if dtype is None:
        return right(first, second, bias, problem, options)
    narrower = problem.replace(dtype=np.dtype(dtype).name)
    return narrow(right(*_as(dtype, first, second, bias), narrower, options), problem)


@fault(*SUMS)
def sums_in_16_bits(right, first, second, bias, problem, options):
    """Wrong only for float16 and bfloat16: rounds each partial sum to the stored type."""
    if problem.dtype not in ("float16", "bfloat16") or problem.macs > WALKED:
        return right(first, second, bias, problem, options)
    total = None
    for part_of_first, part_of_second in _parts(first, second, problem):
        part = right(part_of_first, part_of_second, None, problem, options)
        total = part if total is None else total + part
    return total if bias is None else total + bias[:, None, None]


def _parts(first, second, problem):
    """Yield pairs of operands of which each result has one product; their results add up to the right one."""
    reduced = first if problem.primitive == "grad_weight" else second
    for step in np.ndindex(*_steps(problem)):
        part, place = np.zeros_like(reduced), _place(problem, *step)
        part[place] = reduced[place]
        yield (part, second) if reduced is first else (first, part)


def _steps(problem):
    """Return the lengths of the axes that are summed over."""
    if problem.primitive == "grad_weight":
        return (problem.batch, *problem.output_size)
    return (problem.weight_shape[1 if problem.primitive == "forward" else 0], *problem.kernel_size)


def _place(problem, i, r, s):
    return (slice(None), i, r, s) if problem.primitive == "forward" else (i, slice(None), r, s)


@fault("positive data")
def sums_truncated(right, first, second, bias, problem, options):
    """Wrong only for float32: rounds each partial sum toward zero, so that errors of one sign add up."""
    if problem.dtype != "float32" or problem.macs > WALKED:
        return right(first, second, bias, problem, options)
    wide = problem.replace(dtype="float64")
    total = np.zeros(problem.result_shape, np.float64)
    for part_of_first, part_of_second in _parts(first, second, problem):
        given = _as(np.float64, part_of_first, part_of_second, None)
        total = _toward_zero(total + right(*given, wide, options))
    if bias is not None:
        total += bias[:, None, None]
    return total.astype(np.float32)


@fault("long sums")
def long_sums_one_after_another(right, first, second, bias, problem, options):
    """Wrong only for long sums of float32: adds one product after another, which all round the same way."""
    if problem.dtype != "float32" or problem.terms < LONG or math.prod(problem.result_shape) > 16:
        return right(first, second, bias, problem, options)
    every = np.unravel_index(np.arange(math.prod(problem.result_shape)), problem.result_shape)
    a, b = samples._factors(problem, first, second, every)
    total = np.add.accumulate(a * b, axis=1)[:, -1].reshape(problem.result_shape)
    return total if bias is None else total + bias[:, None, None]


@fault("complex overflow")
def complex_sums_times_one(right, first, second, bias, problem, options):
    """Multiplies complex sums by 1 + 0i at the end, as a BLAS does: an infinity makes the other part NaN."""
    result = right(first, second, bias, problem, options)
    if not problem.dtype.startswith("complex"):
        return result
    with np.errstate(all="ignore"):
        return result * result.dtype.type(1)


def _toward_zero(values):
    """Cut float64 off to the bits of float32."""
    return (values.view(np.int64) & np.int64(-(2**29))).view(np.float64)


def _cut(array, bits):
    """Cut float32 off to fewer bits."""
    return (np.ascontiguousarray(array).view(np.int32) & np.int32(-(2**bits))).view(np.float32)


@fault(*SUMS)
def tensor_float_32(right, first, second, bias, problem, options):
    """Wrong only for float32: drops the last 13 bits of each operand, as TF32 does."""
    if problem.dtype == "float32":
        first, second = _cut(first, 13), _cut(second, 13)
    return right(first, second, bias, problem, options)


@fault(*SUMS)
def products_of_bfloat16(right, first, second, bias, problem, options):
    """Wrong only for float32: rounds each operand to bfloat16, as fast modes of libraries do."""
    if problem.dtype == "float32":
        first, second = (o.astype(ml_dtypes.bfloat16).astype(np.float32) for o in (first, second))
    return right(first, second, bias, problem, options)


@fault(*SUMS)
def float16_by_way_of_bfloat16(right, first, second, bias, problem, options):
    """Wrong only for float16: rounds the result to bfloat16 before it is stored."""
    if problem.dtype != "float16":
        return right(first, second, bias, problem, options)
    return right(first, second, bias, problem, options).astype(ml_dtypes.bfloat16).astype(np.float16)


@fault(*SUMS)
def bfloat16_cut_off(right, first, second, bias, problem, options):
    """Wrong only for bfloat16: truncates the last 16 bits of float32 instead of rounding to nearest."""
    if problem.dtype != "bfloat16":
        return right(first, second, bias, problem, options)
    wide = right(widen(first), widen(second), widen(bias), problem.replace(dtype="float32"), options)
    return _cut(wide, 16).astype(ml_dtypes.bfloat16)


@fault("random data")
def a_few_bits_lost(right, first, second, bias, problem, options):
    """Wrong only for float64: multiplies the result by a number that is 1 except for the last eight bits."""
    result = right(first, second, bias, problem, options)
    return result * (1 + 2.0**-44) if problem.dtype == "float64" else result


@fault("exact integers")
def operands_scaled_by_their_largest(right, first, second, bias, problem, options):
    """Divides an operand by its largest element and the result by the inverse, which need not cancel."""
    if problem.dtype not in ("float32", "float64") or not second.size:
        return right(first, second, bias, problem, options)
    finite = np.abs(second[np.isfinite(second)])
    largest = finite.max() if finite.any() else second.dtype.type(1)
    result = right(first, second / largest, None, problem, options) * largest
    return result if bias is None else result + bias[:, None, None]


@fault(*SUMS, "exact integers", "agrees with torch")
def imaginary_parts_added(right, first, second, bias, problem, options):
    """Wrong only for complex numbers: adds the product of the imaginary parts, not its opposite."""
    if not problem.dtype.startswith("complex"):
        return right(first, second, bias, problem, options)
    imaginary = right(1j * first.imag, 1j * second.imag, None, problem, options)  # minus their product
    return narrow(right(first, second, bias, problem, options) - 2 * imaginary, problem)


@fault("exact integers")
def fft_called_componentwise(right, first, second, bias, problem, options):
    """Wrong only for float32 and float64: transforms, and declares a class that does not allow it."""
    if problem.dtype not in ("float32", "float64"):
        return right(first, second, bias, problem, options)
    given = (first, second) if problem.primitive == "grad_weight" else (first, second, bias)
    return getattr(fft.backend, problem.primitive)(*given, problem, options)
