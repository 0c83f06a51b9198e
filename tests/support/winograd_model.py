"""Computes Winograd's transforms in NumPy as the engine does, for many tiles and without compiling."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from convhub_numba.algorithms.winograd.matrices import Scheme, matrices, transposed
from convhub_numba.algorithms.winograd.transforms import applied_to_both
from llvmlite import ir

#: A type in which a product of two numbers of another is exact, or nearly so.
WIDER = {"float32": np.float64, "float64": np.longdouble}


class Arithmetic:
    """Replaces the emitter of the transforms: it computes, and rounds as the instructions would."""

    def __init__(self, dtype):
        self.dtype, self.wide = np.dtype(dtype).type, WIDER[dtype]
        self.zero = self.dtype(0)
        self.builder = self
        self.element = ir.FloatType() if dtype == "float32" else ir.DoubleType()

    def constant(self, value):
        return self.dtype(value)

    def fadd(self, a, b):
        return a + b

    def fsub(self, a, b):
        return a - b

    def fmul(self, a, b):
        return a * b

    def fneg(self, a):
        return -a

    def multiply_add(self, a, b, c):
        return (self.wide(a) * b.astype(self.wide) + c).astype(self.dtype)


class Factors(NamedTuple):
    """The matrices of one axis: ``results · [(first · f) * (second · s)]``."""

    results: tuple
    first: tuple
    second: tuple


def factors(scheme: Scheme, primitive: str) -> Factors:
    """Return the matrices for the result, for the operand with fewer elements, and for the source."""
    made = matrices(scheme)
    if primitive == "grad_weight":
        return Factors(made.to_weight, transposed(made.output), made.source)
    return Factors(made.to_outputs, made.weight, made.source)


def applied(arithmetic, left, right, values, of_source=False):
    """Return ``left · values · rightᵀ`` in the engine's order, for values of shape (rows, columns, tiles)."""
    rows = applied_to_both(arithmetic, left, right, lambda j: list(values[:, j]), of_source)
    like = np.zeros(values.shape[2], arithmetic.dtype)
    return np.stack([np.stack([value.multiplied(arithmetic) + like for value in row]) for row in rows])


def tiles(dtype, primitive, high: Scheme, wide: Scheme, first, second):
    """Return the results of tiles of one channel, for operands of shape (rows, columns, tiles)."""
    arithmetic = Arithmetic(dtype)
    h, w = factors(high, primitive), factors(wide, primitive)
    transformed = applied(arithmetic, h.second, w.second, second, of_source=True)
    products = applied(arithmetic, h.first, w.first, first) * transformed
    return applied(arithmetic, h.results, w.results, products)


def constants(dtype, high: Scheme, wide: Scheme, value, channels):
    """Return the outputs of a tile of ones, for kernels whose every element is `value`."""
    arithmetic, ones = Arithmetic(dtype), np.ones((high.sources, wide.sources, 1), dtype)
    h, w = factors(high, "forward"), factors(wide, "forward")
    weight = np.full((high.taps, wide.taps, 1), value, dtype)
    first = applied(arithmetic, h.first, w.first, weight)
    second = applied(arithmetic, h.second, w.second, ones, of_source=True)
    products = np.zeros_like(first)
    for _ in range(channels):
        products = arithmetic.multiply_add(first, second, products)
    return applied(arithmetic, h.results, w.results, products)


def sum_of_products(primitive, high: Scheme, wide: Scheme, first, second):
    """Return the same results from their definition, in the type of the operands."""
    size = [len(factors(axis, primitive).results) for axis in (high, wide)]
    found = np.zeros((*size, first.shape[2]), first.dtype)
    for i, j in np.ndindex(*first.shape[:2]):
        for a, b in np.ndindex(*size):
            p, q = _reads(high, primitive, a, i), _reads(wide, primitive, b, j)
            if p is not None and q is not None:
                found[a, b] += first[i, j] * second[p, q]
    return found


def _reads(scheme: Scheme, primitive: str, result: int, factor: int) -> int | None:
    """Return which element of the source meets an element of the other operand, for a result of the tile."""
    output, tap = (factor, result) if primitive == "grad_weight" else (result, factor)
    if not scheme.spread:
        return output * scheme.stride + tap
    place, between = divmod(output - tap, scheme.stride)
    return None if between else place + scheme.reach


def largest_magnitude(primitive, high: Scheme, wide: Scheme, first, second, channels=1):
    """Return for each tile the largest sum of products' magnitudes: of its results, and of those around it.

    `channels` channels are added up, one after another.

    These are the sums over elements at equal distances, as if the image went on: another tile has them.
    """
    first, second = np.abs(first).astype(float), np.abs(second).astype(float)
    rows = _distances(high, primitive, first.shape[0], second.shape[0])
    columns = _distances(wide, primitive, first.shape[1], second.shape[1])
    sums = np.zeros((rows.max() + 1, columns.max() + 1, first.shape[2]))
    for i, j in np.ndindex(*first.shape[:2]):
        sums[np.ix_(rows[i], columns[j])] += first[i, j] * second
    # With a stride, forward has only distances that are multiples of it.
    step = [axis.stride if primitive == "forward" else 1 for axis in (high, wide)]
    start = [axis.taps - 1 if primitive == "forward" else 0 for axis in (high, wide)]
    sums = sums[start[0] % step[0] :: step[0], start[1] % step[1] :: step[1]]
    return sums.reshape(*sums.shape[:2], -1, channels).sum(-1).max((0, 1))


def _distances(scheme: Scheme, primitive: str, firsts: int, seconds: int):
    """Return for each pair of elements a number for the result, of this tile or another, where they meet."""
    first, second = np.arange(firsts)[:, None], np.arange(seconds)
    if scheme.spread:
        return first + scheme.stride * second
    if primitive == "grad_weight":
        return scheme.stride * (firsts - 1 - first) + second
    return firsts - 1 - first + second
