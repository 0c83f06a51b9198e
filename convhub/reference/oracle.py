"""Computes the right result of a problem, by code that shares nothing with any backend.

One generator, `products`, yields every product of the definition once; how they are added depends on the
type:

- floats of at most 32 bits: in float64, where each product is exact;
- float64 and wider, and their complex types: in double-double, an unevaluated sum of two float64, after
  Dekker, *A floating-point technique for extending the available precision* (1971), and Ogita, Rump and
  Oishi, *Accurate sum and dot product* (2005), whose Dot2 it is. It does not depend on the platform's long
  double;
- integers: in 64 bits, wrapping around.

Positions on the padding are skipped, not multiplied by zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..problem import Problem

__all__ = [
    "Array",
    "Exact",
    "Operands",
    "count_products",
    "error",
    "exact",
    "magnitudes",
    "two_product",
    "two_sum",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


class Operands(NamedTuple):
    """NumPy arrays in the order in which a primitive takes them; `bias` is None for grad_weight."""

    first: Array
    second: Array
    bias: Array | None = None

    def map(self, function: Callable[[Array], Array]) -> Operands:
        """Return the operands with `function` applied to each."""
        bias = None if self.bias is None else function(self.bias)
        return Operands(function(self.first), function(self.second), bias)


class Exact(NamedTuple):
    """The right result, as the unevaluated sum ``value + low``.

    `magnitude` is the same sum over absolute values, ``|x| ⋆ |w| + |bias|``, which the bounds use.
    """

    value: Array
    low: Array
    magnitude: Array


def exact(problem: Problem, operands: Operands) -> Exact:
    """Return the right result of `problem`, of shape ``problem.result_shape``.

    Parameters
    ----------
    operands : Operands
        Finite operands of ``problem.dtype``.

    Examples
    --------
    >>> problem = Problem.parse("forward_float64_n1c1h1w3_k1r1s2")
    >>> image = np.array([[[[1.0, 2.0, 4.0]]]])
    >>> exact(problem, Operands(image, np.array([[[[10.0, 1.0]]]]))).value
    array([[[[12., 24.]]]])
    """
    dtype = operands.first.dtype
    if dtype.kind in "iu":
        value = _exact_integers(problem, operands)
        return Exact(value, np.zeros_like(value), np.zeros(value.shape))
    magnitude = magnitudes(problem, operands)
    value, low = _in_double_double(problem, operands) if _is_wide(dtype) else _in_double(problem, operands)
    return Exact(value, low, magnitude)


def magnitudes(problem: Problem, operands: Operands) -> Array:
    """Return ``|x| ⋆ |w| + |bias|`` for every element of a result, in float64."""
    found = _sum_of_products(problem, _absolute(operands.first), _absolute(operands.second))
    if operands.bias is not None:
        found += _per_channel(_absolute(operands.bias))
    return found


def error(result: Array, right: Exact) -> Array:
    """Return the distance of each element of `result` from the right one; NaN where the element is NaN."""
    if result.dtype.kind in "iu":
        return np.asarray(result != right.value, np.float64)
    wide = result.dtype
    if not _is_wide(wide):
        wide = np.dtype(np.complex128 if wide.kind == "c" else np.float64)
    with np.errstate(all="ignore"):
        difference = (result.astype(wide) - right.value.astype(wide)) - right.low.astype(wide)
        return np.asarray(np.abs(difference), np.float64)


def count_products(problem: Problem, first: Array, second: Array) -> Array:
    """Return how many products of a True in `first` and a True in `second` each result sums."""
    counts = _sum_of_products(problem, first.astype(np.float64), second.astype(np.float64))
    return np.asarray(counts, np.int64)


# --- every product of the definition, once ----------------------------------------------------------------


def products(problem: Problem, first: Array, second: Array) -> Iterator[tuple[Any, Array, Array]]:
    """Yield the products of the definition in steps that touch no result twice.

    Yields
    ------
    index, a, b
        ``result[index] += a * b`` is one step, with `result` of the shape that `_grouped_shape` gives.
    """
    groups = problem.groups
    if problem.primitive == "grad_weight":
        yield from _products_by_row(problem, _split_channels(first, groups), _split_channels(second, groups))
        return
    # (G, K/G, C/G, R, S)
    weight = second.reshape(groups, problem.out_channels // groups, *problem.weight_shape[1:])
    image = _split_channels(first, groups)
    for r in range(problem.kernel_size[0]):
        rows = _inside(problem, 0, r * problem.dilation[0], problem.stride[0], problem.output_size[0])
        for s in range(problem.kernel_size[1]):
            columns = _inside(problem, 1, s * problem.dilation[1], problem.stride[1], problem.output_size[1])
            for channel in range(image.shape[2]):
                one = image[:, :, channel : channel + 1]
                if problem.primitive == "forward":
                    factors = weight[:, :, channel, r, s]
                    source, target = (rows[1], columns[1]), (rows[0], columns[0])
                else:
                    factors = weight[:, channel, :, r, s]
                    source, target = (rows[0], columns[0]), (rows[1], columns[1])
                yield (..., *target), one[..., source[0], source[1]], factors[:, :, None, None]


def _products_by_row(problem: Problem, dy: Array, x: Array) -> Iterator[tuple[Any, Array, Array]]:
    """Yield the products of grad_weight, separately for each output column: see `_add_up_columns`."""
    for p in range(problem.output_size[0]):
        rows = _inside(problem, 0, p * problem.stride[0], problem.dilation[0], problem.kernel_size[0])
        for s in range(problem.kernel_size[1]):
            columns = _inside(problem, 1, s * problem.dilation[1], problem.stride[1], problem.output_size[1])
            for n in range(problem.batch):
                gradients = dy[n, :, :, p, columns[0]][:, :, None, None, :]
                pixels = x[n, :, None, :, rows[1], columns[1]]
                yield (..., rows[0], s, columns[0]), gradients, pixels


def _inside(problem: Problem, axis: int, start: int, step: int, count: int) -> tuple[slice, slice]:
    """Return the i of `count` whose ``start + i * step`` is a pixel, and these pixels."""
    begin = start - problem.padding[axis][0]
    first = max(0, -(begin // step))
    stop = max(first, min(count, (problem.input_size[axis] - 1 - begin) // step + 1))
    pixels = slice(begin + first * step, max(0, begin + (stop - 1) * step + 1), step)
    return slice(first, stop), pixels if stop > first else slice(0, 0)


def _split_channels(array: Array, groups: int) -> Array:
    batch, channels, *size = array.shape
    return array.reshape(batch, groups, channels // groups, *size)


def _grouped_shape(problem: Problem) -> tuple[int, ...]:
    first, channels, *rest = problem.result_shape
    if problem.primitive == "grad_weight":
        return (problem.groups, first // problem.groups, channels, *rest, problem.output_size[1])
    return (first, problem.groups, channels // problem.groups, *rest)


def _per_channel(bias: Array) -> Array:
    return bias[:, np.newaxis, np.newaxis]


# --- three ways to add them up ----------------------------------------------------------------------------


def _sum_of_products(problem: Problem, first: Array, second: Array) -> Array:
    total = np.zeros(_grouped_shape(problem), np.result_type(first, second))
    for index, a, b in products(problem, first, second):
        total[index] += a * b
    if problem.primitive == "grad_weight":
        total = total.sum(axis=-1, dtype=total.dtype)
    return total.reshape(problem.result_shape)


def _exact_integers(problem: Problem, operands: Operands) -> Array:
    dtype = operands.first.dtype
    wide = np.uint64 if dtype.kind == "u" else np.int64
    total = _sum_of_products(problem, operands.first.astype(wide), operands.second.astype(wide))
    if operands.bias is not None:
        total += _per_channel(operands.bias.astype(wide))
    return total.astype(dtype)


def _in_double(problem: Problem, operands: Operands) -> tuple[Array, Array]:
    wide = np.complex128 if operands.first.dtype.kind == "c" else np.float64
    value = _sum_of_products(problem, operands.first.astype(wide), operands.second.astype(wide))
    if operands.bias is not None:
        value += _per_channel(operands.bias.astype(wide))
    return value, np.zeros_like(value)


def _in_double_double(problem: Problem, operands: Operands) -> tuple[Array, Array]:
    if operands.first.dtype.kind != "c":
        return _real_double_double(problem, [(operands.first, operands.second)], operands.bias)
    a, b, bias = operands.first, operands.second, operands.bias
    real = _real_double_double(
        problem, [(a.real, b.real), (-a.imag, b.imag)], None if bias is None else bias.real
    )
    imaginary = _real_double_double(
        problem, [(a.real, b.imag), (a.imag, b.real)], None if bias is None else bias.imag
    )
    return real[0] + 1j * imaginary[0], real[1] + 1j * imaginary[1]


def _real_double_double(
    problem: Problem, pairs: list[tuple[Array, Array]], bias: Array | None
) -> tuple[Array, Array]:
    high, low = np.zeros(_grouped_shape(problem)), np.zeros(_grouped_shape(problem))
    remainder: Array = np.zeros(problem.result_shape)
    for first, second in pairs:
        a, a_rest = _split_wide(first)
        b, b_rest = _split_wide(second)
        for index, one, other in products(problem, a, b):
            product, rest = two_product(one, other)
            high[index], lost = two_sum(high[index], product)
            low[index] += rest + lost
        for one, other in ((a, b_rest), (a_rest, b), (a_rest, b_rest)):
            if one.any() and other.any():  # only operands wider than float64 have a remainder
                remainder = remainder + _sum_of_products(problem, one, other)
    if problem.primitive == "grad_weight":
        high, low = _add_up_columns(high, low)
    high, low = high.reshape(problem.result_shape), low.reshape(problem.result_shape) + remainder
    if bias is not None:
        main, rest = _split_wide(_per_channel(bias))
        high, lost = two_sum(high, main)
        low = low + (lost + rest)
    return two_sum(high, low)


def _add_up_columns(high: Array, low: Array) -> tuple[Array, Array]:
    """Return the pairwise sum over the last axis."""
    while (columns := high.shape[-1]) > 1:
        half = columns // 2
        total, lost = two_sum(high[..., :half], high[..., half : 2 * half])
        low = np.concatenate((low[..., :half] + low[..., half : 2 * half] + lost, low[..., 2 * half :]), -1)
        high = np.concatenate((total, high[..., 2 * half :]), -1)
    return high[..., 0], low[..., 0]


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """Return ``a + b`` rounded, and the rounding error (Knuth's TwoSum)."""
    total = a + b
    b_part = total - a
    return total, (a - (total - b_part)) + (b - b_part)


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """Return ``a * b`` rounded, and the rounding error (Dekker's TwoProduct)."""
    product = a * b
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(b)
    return product, a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)


def _halves(a: Array) -> tuple[Array, Array]:
    scaled = a * 134217729.0  # 2**27 + 1: each half has 26 bits, and products of halves are exact
    high = scaled - (scaled - a)
    return high, a - high


def _split_wide(array: Array) -> tuple[Array, Array]:
    """Return `array` as a sum of two float64; exact for significands of up to 106 bits."""
    main = array.astype(np.float64)
    return main, (array - main).astype(np.float64)


def _is_wide(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "fc" and dtype.itemsize >= (16 if dtype.kind == "c" else 8)


def _absolute(array: Array) -> Array:
    return np.asarray(np.abs(array), np.float64)
