"""Recomputes selected elements of a result exactly, from the definition.

It gathers the products of the formula in `convhub.problem` separately for each element, and so shares nothing
with any backend. `convhub.reference.oracle` computes whole results instead, for small problems.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..problem import Problem
from .oracle import Operands, magnitudes, two_product

__all__ = [
    "Elements",
    "Recomputed",
    "choose_elements",
    "greatest_magnitude",
    "largest_magnitude",
    "recompute",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

#: Positions of elements in a result: for each of its four axes, the index of each element on that axis.
Elements: TypeAlias = tuple[Array, Array, Array, Array]

#: Elements are chosen until their products add up to the first number: at least 64 elements, unless these
#: have more products than the second; and the corners.
PRODUCTS = 2**18
MOST_PRODUCTS = 2**22
FEWEST_ELEMENTS = 64


class Recomputed(NamedTuple):
    """Elements of the right result, each the unevaluated sum ``value + low``.

    `magnitude` is the sum of the absolute values of the products, and of the bias. Where a factor of an
    element is NaN or infinite, `finite` is False, and `value` is meaningless.
    """

    value: Array
    low: Array
    magnitude: Array
    finite: Array


def choose_elements(problem: Problem, seed: int) -> Elements:
    """Return the corners of a result and random elements, or all elements if that is little work.

    Examples
    --------
    >>> problem = Problem.parse("forward_n1c2h9w9_k4r3s3")
    >>> len(choose_elements(problem, seed=0)[0]) == 1 * 4 * 7 * 7
    True
    """
    shape = problem.result_shape
    size = math.prod(shape)
    terms = max(1, problem.terms)
    count = max(PRODUCTS // terms, min(FEWEST_ELEMENTS, MOST_PRODUCTS // terms))
    if size <= count:
        flat = np.arange(size)
    else:
        ends = np.meshgrid(*([0, extent - 1] for extent in shape), indexing="ij")
        corners = np.ravel_multi_index([end.ravel() for end in ends], shape)
        random = np.random.default_rng(seed).integers(0, size, count)
        flat = np.unique(np.concatenate((corners, random)))
    n, k, p, q = np.unravel_index(flat, shape)
    return n, k, p, q


def recompute(problem: Problem, operands: Operands, elements: Elements) -> Recomputed:
    """Return the right values of some elements.

    Parameters
    ----------
    operands : Operands
        Operands of ``problem.dtype``.

    Examples
    --------
    >>> problem = Problem.parse("forward_float64_n1c1h1w3_k1r1s2")
    >>> x, w = np.array([[[[1.0, 2.0, 4.0]]]]), np.array([[[[10.0, 1.0]]]])
    >>> recompute(problem, Operands(x, w), choose_elements(problem, seed=0)).value
    array([12., 24.])
    """
    first, second, bias = operands
    step = max(1, PRODUCTS // max(1, problem.terms))
    parts = []
    for start in range(0, max(1, len(elements[0])), step):
        n, k, p, q = (axis[start : start + step] for axis in elements)
        a, b = _factors(problem, first, second, (n, k, p, q))
        parts.append(_summed(a, b, None if bias is None else bias[k]))
    return Recomputed(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def greatest_magnitude(problem: Problem, operands: Operands) -> float:
    """Return a quick upper bound of ``|x| ⋆ |w| + |bias|``: a few times its largest element.

    It is the largest pixel times the largest sum of weights, without non-finite values.
    """
    first, second, bias = operands.map(lambda operand: _finite_part(np.abs(operand)))
    if problem.primitive == "forward":
        sums = second.sum((1, 2, 3))
    elif problem.primitive == "grad_input":
        by_group = second.reshape(problem.groups, -1, *second.shape[1:])
        sums = by_group.sum((1, 3, 4))
    else:
        first, sums = second, first.sum((0, 2, 3))
    added = 0.0 if bias is None else bias.max(initial=0)
    return float(first.max(initial=0) * sums.max(initial=0) + added)


def largest_magnitude(problem: Problem, operands: Operands) -> float:
    """Return the largest element of ``|x| ⋆ |w| + |bias|``, computing all, without non-finite values."""
    finite = operands.map(lambda operand: _finite_part(np.abs(operand)))
    return float(magnitudes(problem, finite).max(initial=0))


def _finite_part(magnitude: Array) -> Array:
    wide = magnitude.astype(np.float64)
    return np.where(np.isfinite(wide), wide, 0.0)


# --- the factors of each element --------------------------------------------------------------------------


def _factors(problem: Problem, first: Array, second: Array, elements: Elements) -> tuple[Array, Array]:
    """Return both factors of each element's products, as (elements, terms); those on padding are zero."""
    of_element = tuple(index[:, None, None, None] for index in elements)
    gather = {"forward": _of_output, "grad_input": _of_input, "grad_weight": _of_weight}[problem.primitive]
    a_index, b_index, inside = gather(problem, of_element)
    a, b, inside = np.broadcast_arrays(first[a_index], second[b_index], inside)
    # A factor that meets the padding counts as absent, even if it is not finite.
    a, b = np.where(inside, a, a.dtype.type(0)), np.where(inside, b, b.dtype.type(0))
    shape = (len(a), math.prod(a.shape[1:]))
    return a.reshape(shape), b.reshape(shape)


Index: TypeAlias = tuple[Array, ...]


def _of_output(problem: Problem, element: Index) -> tuple[Index, Index, Array]:
    n, k, p, q = element
    _, c, r, s = _axes(problem.weight_shape)
    group = k // problem.group_channels[1]
    (row, column), inside = _pixels(problem, (p, q), (r, s))
    return (n, group * problem.weight_shape[1] + c, row, column), (k, c, r, s), inside


def _of_input(problem: Problem, element: Index) -> tuple[Index, Index, Array]:
    n, channel, h, w = element
    group, c = np.divmod(channel, problem.weight_shape[1])
    outputs = problem.group_channels[1]
    _, k, r, s = _axes((0, outputs, *problem.kernel_size))
    places, inside = [], np.True_
    for axis, pixel, tap in ((0, h, r), (1, w, s)):
        start = pixel + problem.padding[axis][0] - tap * problem.dilation[axis]
        place, between = np.divmod(start, problem.stride[axis])
        size = problem.output_size[axis]
        inside = inside & (between == 0) & (place >= 0) & (place < size)
        places.append(place.clip(0, size - 1))
    k = group * outputs + k
    return (n, k, *places), (k, c, r, s), np.asarray(inside)


def _of_weight(problem: Problem, element: Index) -> tuple[Index, Index, Array]:
    k, c, r, s = element
    n, _, p, q = _axes((problem.batch, 0, *problem.output_size))
    n = n.reshape(1, -1, 1, 1)
    group = k // problem.group_channels[1]
    (row, column), inside = _pixels(problem, (p, q), (r, s))
    return (n, k, p, q), (n, group * problem.weight_shape[1] + c, row, column), inside


def _axes(shape: tuple[int, ...]) -> list[Array]:
    """Return every index of each axis, along that axis."""
    return list(np.ogrid[tuple(slice(size) for size in shape)])


def _pixels(
    problem: Problem, outputs: tuple[Array, Array], taps: tuple[Array, Array]
) -> tuple[tuple[Array, Array], Array]:
    """Return the row and column of the pixel that each tap sees, and whether it is inside the image."""
    found, inside = [], np.True_
    for axis in (0, 1):
        pixel = outputs[axis] * problem.stride[axis] + taps[axis] * problem.dilation[axis]
        pixel = pixel - problem.padding[axis][0]
        size = problem.input_size[axis]
        inside = inside & (pixel >= 0) & (pixel < size)
        found.append(pixel.clip(0, size - 1))
    return (found[0], found[1]), np.asarray(inside)


# --- their sums -------------------------------------------------------------------------------------------


def _summed(a: Array, b: Array, bias: Array | None) -> Recomputed:
    if a.dtype.kind in "iu":
        return _integer_sums(a, b, bias)
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    added = np.zeros(len(a), a.dtype) if bias is None else bias
    finite = np.isfinite(a).all(1) & np.isfinite(b).all(1) & np.isfinite(added)
    a, b, added = (np.where(np.isfinite(x), x, x.dtype.type(0)) for x in (a, b, added))
    magnitude = (_absolute(a) * _absolute(b)).sum(1) + _absolute(added)
    if a.dtype.itemsize < np.dtype(wide).itemsize:  # Each product is exact in float64.
        value = (a.astype(wide) * b.astype(wide)).sum(1) + added.astype(wide)
        return Recomputed(value, np.zeros_like(value), magnitude, finite)
    if a.dtype.kind != "c":
        return Recomputed(*_exact_sums([(a, b)], added), magnitude, finite)
    real = _exact_sums([(a.real, b.real), (-a.imag, b.imag)], added.real)
    imaginary = _exact_sums([(a.real, b.imag), (a.imag, b.real)], added.imag)
    value, low = (re + 1j * im for re, im in zip(real, imaginary, strict=True))
    return Recomputed(value, low, magnitude, finite)


def _integer_sums(a: Array, b: Array, bias: Array | None) -> Recomputed:
    wide = np.uint64 if a.dtype.kind == "u" else np.int64
    value = (a.astype(wide) * b.astype(wide)).sum(1, dtype=wide)  # It wraps around, and so do narrow types.
    if bias is not None:
        value = value + bias.astype(wide)
    zeros = np.zeros(len(value))
    return Recomputed(value.astype(a.dtype), value * 0, zeros, np.ones(len(value), np.bool_))


def _exact_sums(pairs: list[tuple[Array, Array]], bias: Array) -> tuple[Array, Array]:
    """Return sums of products of float64 or wider, and their distance to the exact ones; NaN on overflow."""
    columns = list(_split(bias[:, None]))
    for a, b in pairs:
        for one in _split(a):
            columns += [part for other in _split(b) for part in two_product(one, other)]
    rows = np.concatenate(columns, axis=1)
    sums = [_exact_sum(row) for row in rows.tolist()]
    return np.array([value for value, _ in sums]), np.array([low for _, low in sums])


def _split(array: Array) -> Iterator[Array]:
    """Yield one float64 array, or for a wider type two that sum to the array."""
    main = array.astype(np.float64)
    yield main
    if array.dtype.itemsize > 8:
        yield (array - main).astype(np.float64)


def _exact_sum(row: list[float]) -> tuple[float, float]:
    try:
        value = math.fsum(row)
        return value, math.fsum([*row, -value])
    except (OverflowError, ValueError):  # beyond float64's range; ValueError: infinities of both signs
        return math.nan, math.nan


def _absolute(array: Array) -> Array:
    return np.asarray(np.abs(array), np.float64)
