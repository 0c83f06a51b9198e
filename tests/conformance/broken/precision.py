"""Faults of accuracy: less precise types and faster algorithms for some sizes, types or operands."""

from __future__ import annotations

import numpy as np
from conformance.correct.widths import narrow, widen

from .faults import fault

FLOATS = ("float32", "float64")


def _cut(array, bits):
    """Return float32 with so many bits of the significand set to zero, rounding to nearest."""
    whole = array.astype(np.float32).view(np.uint32)
    step = np.uint32(1 << bits)
    return ((whole + step // np.uint32(2)) & ~(step - np.uint32(1))).view(np.float32)


def _tf32(right, first, second, bias, problem, options):
    return right(_cut(first, 13), _cut(second, 13), bias, problem, options)


@fault("random data", on=("forward",))
def tf32_for_large_ones(right, first, second, bias, problem, options):
    """Wrong only for float32 above 100 000 products: operands are rounded to TF32."""
    arguments = (first, second, bias, problem, options)
    if problem.dtype == "float32" and problem.macs > 10**5:
        return _tf32(right, *arguments)
    return right(*arguments)


@fault("random data", on=("grad_input",))
def tf32_for_channels_by_eight(right, first, second, bias, problem, options):
    """Wrong only for float32 and channels that are multiples of 8: operands are rounded to TF32."""
    arguments = (first, second, bias, problem, options)
    if problem.dtype != "float32" or problem.in_channels % 8 or problem.out_channels % 8:
        return right(*arguments)
    return _tf32(right, *arguments)


@fault("random data", on=("forward", "grad_weight"))
def bfloat16_for_pointwise(right, first, second, bias, problem, options):
    """Wrong only for float32 and 1×1 kernels: the matrix product rounds operands to bfloat16."""
    if problem.dtype == "float32" and problem.kernel_size == (1, 1):
        first, second = _cut(first, 16), _cut(second, 16)
    return right(first, second, bias, problem, options)


@fault("random data", on=("forward",))
def first_operand_in_float16(right, first, second, bias, problem, options):
    """Wrong only for float32: the first operand passes through float16 where it fits."""
    if problem.dtype == "float32" and first.size and np.abs(first).max() < 6e4:
        first = first.astype(np.float16).astype(np.float32)
    return right(first, second, bias, problem, options)


@fault("positive data", on=("grad_input",))
def bias_of_float64_in_float32(right, first, second, bias, problem, options):
    """Wrong only for a bias of float64: it passes through float32."""
    if bias is not None and problem.dtype == "float64":
        bias = bias.astype(np.float32).astype(np.float64)
    return right(first, second, bias, problem, options)


@fault("random data", on=("grad_weight",))
def weight_of_float64_in_float32(right, first, second, bias, problem, options):
    """Wrong only for float64: the second operand is packed as float32."""
    if problem.dtype == "float64":
        second = second.astype(np.float32).astype(np.float64)
    return right(first, second, bias, problem, options)


@fault("random data", on=("forward",))
def result_of_float64_in_float32(right, first, second, bias, problem, options):
    """Wrong only for float64: the result passes through float32."""
    result = right(first, second, bias, problem, options)
    return result.astype(np.float32).astype(np.float64) if problem.dtype == "float64" else result


@fault("random data", on=("grad_input",))
def complex128_in_complex64(right, first, second, bias, problem, options):
    """Wrong only for complex128: the second operand passes through complex64."""
    if problem.dtype == "complex128":
        second = second.astype(np.complex64).astype(np.complex128)
    return right(first, second, bias, problem, options)


@fault("random data", on=("grad_weight",))
def float64_in_float32_for_deep_sums(right, first, second, bias, problem, options):
    """Wrong only for float64 with more than 100 terms: the operands pass through float32."""
    if problem.dtype == "float64" and problem.terms > 100:
        first, second = (o.astype(np.float32).astype(np.float64) for o in (first, second))
    return right(first, second, bias, problem, options)


@fault("exact integers", on=("forward",))
def mean_subtracted(right, first, second, bias, problem, options):
    """Wrong only where one number is much larger than the others: it is shifted by its mean and back."""
    if problem.dtype not in FLOATS or not first.size:
        return right(first, second, bias, problem, options)
    mean = first.dtype.type(first.mean())
    rest = right(first - mean, second, bias, problem, options)
    return rest + right(np.full_like(first, mean), second, None, problem, options)


@fault("random data", on=("grad_input",))
def large_and_small_summed_together(right, first, second, bias, problem, options):
    """Wrong only for data of mixed scales: adds the largest element to all, and removes its part again."""
    if problem.dtype not in FLOATS or not first.size:
        return right(first, second, bias, problem, options)
    largest = np.full_like(first, first.reshape(-1)[np.abs(first).argmax()])
    both = right(first + largest, second, bias, problem, options)
    return both - right(largest, second, None, problem, options)


@fault("complex overflow", on=("grad_weight",))
def complex_product_of_three(right, first, second, bias, problem, options):
    """Wrong only for complex parts of different scales: three real products instead of four."""
    if not problem.dtype.startswith("complex"):
        return right(first, second, bias, problem, options)

    def product(one, other):
        made = right(one.astype(problem.dtype), other.astype(problem.dtype), None, problem, options)
        return made.real

    a, b, c, d = first.real, first.imag, second.real, second.imag
    both, real, imaginary = product(a + b, c + d), product(a, c), product(b, d)
    result = (real - imaginary + 1j * (both - real - imaginary)).astype(problem.dtype)
    return result if bias is None else result + bias[:, None, None]


@fault("mixed scales", on=("forward",))
def halves_of_channels_mixed(right, x, w, bias, problem, options):
    """Wrong only for channels of different scales: (a+b)(c+d) − ad − bc stands for ac + bd."""
    half = problem.in_channels // 2
    if problem.groups > 1 or problem.in_channels % 2 or problem.dtype not in FLOATS:
        return right(x, w, bias, problem, options)
    swapped = np.concatenate([w[:, half:], w[:, :half]], 1)
    both = np.concatenate([x[:, :half] + x[:, half:], x[:, :half] + x[:, half:]], 1)
    total = right(both, w, bias, problem, options)
    return total - right(x, swapped, None, problem, options)


@fault("random data", on=("grad_input",))
def strict_only_for_one_thread(right, first, second, bias, problem, options):
    """Wrong only for several threads and float32: operands are rounded to TF32, even if strict."""
    arguments = (first, second, bias, problem, options)
    if problem.dtype == "float32" and options.threads > 1:
        return _tf32(right, *arguments)
    return right(*arguments)


@fault("random data", on=("grad_weight",))
def strict_ignored_for_groups(right, first, second, bias, problem, options):
    """Wrong only for float32 in groups: operands are rounded to TF32, even if strict."""
    arguments = (first, second, bias, problem, options)
    if problem.dtype == "float32" and problem.groups > 1:
        return _tf32(right, *arguments)
    return right(*arguments)


@fault("small workspace", on=("forward",))
def less_precise_in_little_memory(right, first, second, bias, problem, options):
    """Wrong only for a workspace below a megabyte and float32: operands are rounded to TF32."""
    arguments = (first, second, bias, problem, options)
    if problem.dtype == "float32" and options.workspace_limit < 2**20:
        return _tf32(right, *arguments)
    return right(*arguments)


def _halves(right, first, second, bias, problem, options, dtype):
    """Return the sum of two halves of the sum, each rounded to the stored type before."""
    if problem.dtype != dtype or problem.primitive == "grad_weight":
        return right(first, second, bias, problem, options)
    axis = 1 if problem.primitive == "forward" else 0
    half = second.shape[axis] // 2
    parts = []
    for keep in (slice(None, half), slice(half, None)):
        part = np.zeros_like(second)
        where = (slice(None), keep) if axis else (keep,)
        part[where] = second[where]
        parts.append(widen(right(first, part, None, problem, options)))
    total = parts[0] + parts[1]
    return narrow(total if bias is None else total + widen(bias)[:, None, None], problem)


@fault("random data", on=("forward",))
def halves_of_float16_rounded(right, first, second, bias, problem, options):
    """Wrong only for float16: sums over blocks of channels are stored in float16 between."""
    return _halves(right, first, second, bias, problem, options, "float16")


@fault("positive data", on=("grad_input",))
def halves_of_bfloat16_rounded(right, first, second, bias, problem, options):
    """Wrong only for bfloat16: sums over blocks of channels are stored in bfloat16 between."""
    return _halves(right, first, second, bias, problem, options, "bfloat16")


@fault("random data", on=("grad_weight",))
def images_summed_in_float16(right, dy, x, bias, problem, options):
    """Wrong only for float16 and bfloat16 and several images: their sums are rounded between."""
    if problem.dtype not in ("float16", "bfloat16") or problem.batch < 2:
        return right(dy, x, None, problem, options)
    total = None
    for image in range(problem.batch):
        part = np.zeros_like(dy)
        part[image] = dy[image]
        made = right(part, x, None, problem, options)
        total = made if total is None else narrow(widen(total) + widen(made), problem)
    return total


@fault("random data", on=("grad_input",))
def weight_rounded_to_sixteen_bits(right, first, w, bias, problem, options):
    """Wrong only for more than 16 channels and float32: the weight is quantised to 16 bits."""
    if problem.dtype != "float32" or w.shape[0] <= 16 or not np.isfinite(w).all():
        return right(first, w, bias, problem, options)
    scale = np.float32(np.abs(w).max() or 1) / np.float32(32767)
    return right(first, np.rint(w / scale) * scale, bias, problem, options)


@fault("random data", on=("forward",))
def divided_by_an_approximate_reciprocal(right, first, second, bias, problem, options):
    """Wrong only for float64: a scale is an estimate with 22 bits."""
    result = right(first, second, bias, problem, options)
    return result * (1 + 2.0**-23) if problem.dtype == "float64" else result


@fault("random data", on=("grad_weight",))
def gradient_in_lower_precision(right, first, second, bias, problem, options):
    """Wrong only for float32: gradients pass through bfloat16, as after a mixed forward pass."""
    if problem.dtype == "float32":
        first = _cut(first, 16)
    return right(first, second, bias, problem, options)
