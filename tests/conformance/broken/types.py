"""Faults of single types: integers of one width, complex numbers in one primitive, signs."""

from __future__ import annotations

import dataclasses

import numpy as np

from .faults import fault


def _int64(problem):
    return dataclasses.replace(problem, dtype="int64")


def _wide(right, first, second, bias, problem, options):
    given = (o if o is None else o.astype(np.int64) for o in (first, second, bias))
    return right(*given, _int64(problem), options)


@fault("random data", on=("grad_weight",))
def int8_minimum_clamped(right, first, second, bias, problem, options):
    """Wrong only for −128 in int8: the range is taken to be symmetric."""
    if problem.dtype == "int8":
        first = np.maximum(first, np.int8(-127))
    return right(first, second, bias, problem, options)


@fault("random data", on=("grad_input",))
def uint8_clipped_at_255(right, first, second, bias, problem, options):
    """Wrong only for uint8: sums above 255 are clipped instead of wrapping around."""
    if problem.dtype != "uint8":
        return right(first, second, bias, problem, options)
    wide = _wide(right, first, second, bias, problem, options)
    return np.clip(wide, 0, 255).astype(np.uint8)


@fault("random data", on=("grad_weight",))
def int8_sums_clipped_to_16_bits(right, first, second, bias, problem, options):
    """Wrong only for int8 sums beyond 16 bits: they are clipped there, then wrap to 8 bits."""
    if problem.dtype != "int8":
        return right(first, second, bias, problem, options)
    return np.clip(_wide(right, first, second, bias, problem, options), -(2**15), 2**15 - 1).astype(np.int8)


@fault("random data", on=("forward",))
def uint8_sums_clipped_to_16_bits(right, first, second, bias, problem, options):
    """Wrong only for uint8 sums above 32767: pairs of products are added with saturation."""
    if problem.dtype != "uint8":
        return right(first, second, bias, problem, options)
    return np.minimum(_wide(right, first, second, bias, problem, options), 2**15 - 1).astype(np.uint8)


@fault("random data", on=("grad_input",))
def int64_clipped_to_32_bits(right, first, second, bias, problem, options):
    """Wrong only for int64 sums beyond 32 bits: they are clipped."""
    result = right(first, second, bias, problem, options)
    return np.clip(result, -(2**31), 2**31 - 1) if problem.dtype == "int64" else result


@fault("random data", on=("grad_weight",))
def int64_clipped_to_62_bits(right, first, second, bias, problem, options):
    """Wrong only for int64 sums beyond 62 bits: they are clipped."""
    result = right(first, second, bias, problem, options)
    return np.clip(result, -(2**62), 2**62 - 1) if problem.dtype == "int64" else result


@fault("random data", on=("forward", "grad_weight"))
def int64_operand_in_32_bits(right, first, second, bias, problem, options):
    """Wrong only for int64 operands beyond 32 bits: the second loses its upper half."""
    if problem.dtype == "int64":
        second = second.astype(np.int32).astype(np.int64)
    return right(first, second, bias, problem, options)


@fault("random data", on=("grad_input",))
def int64_operand_in_float64(right, first, second, bias, problem, options):
    """Wrong only for int64 operands beyond 53 bits: the first passes through float64."""
    if problem.dtype == "int64":
        with np.errstate(invalid="ignore"):
            first = first.astype(np.float64).astype(np.int64)
    return right(first, second, bias, problem, options)


@fault("any layout", on=("grad_input",))
def int64_bias_in_32_bits(right, first, second, bias, problem, options):
    """Wrong only for an int64 bias beyond 32 bits: it loses its upper half."""
    if bias is not None and problem.dtype == "int64":
        bias = bias.astype(np.int32).astype(np.int64)
    return right(first, second, bias, problem, options)


@fault("any layout", on=("forward",))
def integer_bias_clipped(right, first, second, bias, problem, options):
    """Wrong only where an int8 bias passes the end of the range: it is added with saturation."""
    result = right(first, second, None, problem, options)
    if bias is None:
        return result
    if problem.dtype != "int8":
        return right(first, second, bias, problem, options)
    total = result.astype(np.int64) + bias[:, None, None]
    return np.clip(total, -128, 127).astype(np.int8)


@fault("random data", on=("grad_input",))
def integers_zeroed_by_overflow(right, first, second, bias, problem, options):
    """Wrong only for int8 and uint8 sums that wrap around: they become zero."""
    result = right(first, second, bias, problem, options)
    if problem.dtype not in ("int8", "uint8"):
        return result
    wide = _wide(right, first, second, bias, problem, options)
    return np.where(wide == result, result, 0).astype(result.dtype)


@fault("random data", on=("grad_weight",))
def gradient_of_integers_is_zero(right, dy, x, bias, problem, options):
    """Wrong only for integers: their gradient is taken for zero."""
    result = right(dy, x, bias, problem, options)
    return np.zeros_like(result) if result.dtype.kind in "iu" else result


@fault("random data", on=("forward",))
def first_operand_conjugated(right, first, second, bias, problem, options):
    """Wrong only for complex numbers: the first operand is conjugated."""
    if problem.dtype.startswith("complex"):
        first = first.conj()
    return right(first, second, bias, problem, options)


@fault("random data", on=("forward", "grad_input"))
def conjugated_in_groups(right, first, second, bias, problem, options):
    """Wrong only for complex numbers in groups: the second operand is conjugated."""
    if problem.dtype.startswith("complex") and problem.groups > 1:
        second = second.conj()
    return right(first, second, bias, problem, options)


@fault("positive data", on=("grad_input",))
def imaginary_part_of_the_bias_lost(right, first, second, bias, problem, options):
    """Wrong only for a complex bias: its imaginary part is not added."""
    if bias is not None and problem.dtype.startswith("complex"):
        bias = bias.real.astype(bias.dtype)
    return right(first, second, bias, problem, options)


@fault("positive data", on=("forward",))
def bias_conjugated(right, first, second, bias, problem, options):
    """Wrong only for a complex bias: it is conjugated."""
    return right(first, second, None if bias is None else bias.conj(), problem, options)


@fault("exact integers", on=("grad_input",))
def complex_taken_for_real(right, first, second, bias, problem, options):
    """Wrong only where the first element of the second operand is real: all are taken to be."""
    if problem.dtype.startswith("complex") and second.size and second.flat[0].imag == 0:
        second = second.real.astype(second.dtype)
    return right(first, second, bias, problem, options)


@fault("any size", on=("grad_weight",))
def complex64_only_conjugated(right, first, second, bias, problem, options):
    """Wrong only for complex64 and 1×1 kernels: a matrix product is called with "conjugate transpose"."""
    if problem.dtype == "complex64" and problem.kernel_size == (1, 1):
        second = second.conj()
    return right(first, second, bias, problem, options)


@fault("random data", on=("forward",))
def negative_products_unsigned(right, first, second, bias, problem, options):
    """Wrong only for negative int8 in the first operand: they are read as unsigned and shifted too little."""
    result = right(first, second, bias, problem, options)
    if problem.dtype == "int8" and first.size and first.min() < 0:
        result[..., :1] += np.int8(1)
    return result


@fault("random data", on=("grad_input",))
def zero_point_of_uint8(right, first, second, bias, problem, options):
    """Wrong only for uint8: 128 is subtracted, and its part is added again without padding."""
    if problem.dtype != "uint8" or problem.padding == ((0, 0), (0, 0)):
        return right(first, second, bias, problem, options)
    result = right(first, second, bias, problem, options)
    result[..., :1] += np.uint8(128)
    return result
