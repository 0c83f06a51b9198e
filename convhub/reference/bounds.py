"""Bounds the error of a result from the arithmetic alone, without an absolute tolerance.

A sum of n products in any order, each operation rounded once, has an error of at most about
``n · eps/2 · Σ|x·w|`` (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., 3.1). Rounding
errors are nearly independent, so √n replaces n with a probability close to one (Higham and Mary, *A new
approach to probabilistic rounding error analysis*, 2019). convhub requires ``(8 + √n) · eps · Σ|x·w|``: twice
that, and 8 for short sums. The errors are not independent if numbers are equal, whose additions may all round
the same way. So long sums need blocks, such that no number passes through more than a few times √n additions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..arrays import numpy_dtype
from ..backend import Accuracy
from ..problem import Problem
from .oracle import Array, Exact, error

__all__ = [
    "ACCUMULATORS",
    "LONG",
    "NORMWISE_FACTOR",
    "Worst",
    "bound",
    "certain_growth",
    "machine_epsilon",
    "probable_growth",
    "ratios",
    "storage_epsilon",
    "summing_bound",
    "worst",
]

#: A sum is long from this many terms on.
LONG = 2**15

#: Types that are accumulated in a wider type than they are stored in.
ACCUMULATORS = {"float16": "float32", "bfloat16": "float32"}

#: A complex product takes four real ones, or three sums and three products (Gauss), which adds up
#: |w_r + w_i|·|x_r + x_i| ≤ 2·|w|·|x| and subtracts two sums of at most |w|·|x| from it. So the imaginary
#: part errs by at most 2 + 1 real sums, the real part by 1, and both by √(9 + 1) < 4 (Higham, *Stability of a
#: method for multiplying complex matrices with three real matrix multiplications*, 1992).
COMPLEX_FACTOR = 4.0

#: A transform adds up larger numbers than the products of its operands, and errs by as much more: by the
#: matrices of Winograd's F(4x4, 3x3), the most common one with large tiles, 16² times at most, and 16 if
#: rounding errors are independent. In float32 the worst of some thousand results erred by 4.1 times
#: ``(8 + √n) · eps`` of the largest |x| ⋆ |w|, half of this; with an entry of a matrix off by 0.1 %, by more.
NORMWISE_FACTOR = 8.0


class Worst(NamedTuple):
    """The element that comes closest to its bound, or exceeds it most."""

    ratio: float
    place: tuple[int, ...]


def machine_epsilon(dtype: str) -> float:
    """Return eps of the type in which `dtype` is accumulated: the distance from 1 to the next number."""
    return float(np.finfo(np.dtype(ACCUMULATORS.get(dtype, dtype))).eps)


def storage_epsilon(dtype: str) -> float:
    """Return eps of the type in which `dtype` is stored."""
    return 2.0**-7 if dtype == "bfloat16" else float(np.finfo(numpy_dtype(dtype)).eps)


def probable_growth(terms: int) -> float:
    """Return how many eps a sum of `terms` products may err by, if its rounding errors are independent."""
    return 8 + math.sqrt(terms)


def certain_growth(terms: int) -> float:
    """Return how many eps convhub allows a sum of `terms` products in any order."""
    return 8 + terms / 2


def summing_bound(
    terms: int,
    dtype: str,
    magnitude: Array,
    accuracy: Accuracy = "componentwise",
    growth: Callable[[int], float] = probable_growth,
) -> Array:
    """Return ``growth(terms) · eps · magnitude``, which bounds the error of summing alone.

    Parameters
    ----------
    terms : int
        How many products are summed for each element, the bias included.
    dtype : str
        The result's type; eps is that of the type in which it is accumulated.
    magnitude : array
        The same sums over absolute values.
    accuracy : {"componentwise", "normwise"}
        With "normwise" every element's bound uses the largest magnitude instead of its own, and is
        `NORMWISE_FACTOR` times as large.
    growth : callable
        Maps the number of summed products to the number of eps allowed.
    """
    if accuracy == "normwise" and magnitude.size:
        magnitude = np.full_like(magnitude, NORMWISE_FACTOR * magnitude.max())
    return growth(terms) * machine_epsilon(dtype) * magnitude


def bound(
    problem: Problem,
    right: Exact,
    accuracy: Accuracy = "componentwise",
    *,
    bias: bool = False,
    long_sums: bool = True,
) -> Array:
    """Return the largest error that each element may have.

    Parameters
    ----------
    right : Exact
        The result of `convhub.reference.oracle.exact`.
    accuracy : {"componentwise", "normwise"}
        The class that the backend declares; see `convhub.backend.Accuracy`.
    bias : bool
        Whether a bias was added, which is one more term.
    long_sums : bool
        Whether the backend declares that long sums keep the bound; if not, sums of `LONG` or more terms get
        the certain one, ``(8 + n / 2) · eps · Σ|x·w|``.
    """
    if right.value.dtype.kind in "iu":
        return np.zeros(right.value.shape)
    terms = problem.terms + bias
    growth = probable_growth if long_sums or terms < LONG else certain_growth
    allowed = summing_bound(terms, problem.dtype, right.magnitude, accuracy, growth)
    if problem.dtype.startswith("complex"):
        allowed *= COMPLEX_FACTOR
    if problem.dtype in ACCUMULATORS:
        # The sum, with its error, is rounded once more, by half a step of the storage type.
        epsilon, smallest = storage_epsilon(problem.dtype), _smallest_step(problem.dtype)
        allowed += 0.5 * np.maximum(epsilon * (np.abs(right.value) + allowed), smallest)
    return allowed


def _smallest_step(dtype: str) -> float:
    """Return the distance between the subnormal numbers of a storage type."""
    return 2.0**-133 if dtype == "bfloat16" else float(np.finfo(numpy_dtype(dtype)).smallest_subnormal)


def worst(result: Array, right: Exact, allowed: Array) -> Worst:
    """Return the greatest ratio of error to bound, infinite for a NaN, and its position."""
    if not result.size:
        return Worst(0.0, ())
    found = ratios(result, right, allowed)
    index = np.unravel_index(int(found.argmax()), found.shape)
    return Worst(float(found[index]), tuple(int(i) for i in index))


def ratios(result: Array, right: Exact, allowed: Array) -> Array:
    """Return the ratio of each element's error to its bound, infinite for a NaN."""
    errors = error(result, right)
    with np.errstate(all="ignore"):
        found = np.where(errors == 0, 0.0, errors / allowed)
    return np.where(np.isnan(found), math.inf, found)
