"""Draws random operands that depend on problem and seed only: normal, positive, or small integers."""

from __future__ import annotations

import zlib
from typing import Literal

import numpy as np

from ..arrays import numpy_dtype
from ..problem import Problem
from .oracle import Array, Operands

__all__ = ["Fill", "fill", "generator", "operands"]

#: normal
#:     Standard normal; integers from the whole range of their type, so that they wrap around.
#: positive
#:     Uniform in [0, 1): without cancellation errors of one sign would add up.
#: exact
#:     Integers from −3 to 3: every partial sum of up to 10**6 products is exact in float32.
Fill = Literal["normal", "positive", "exact"]


def generator(problem: Problem, seed: int, purpose: str = "") -> np.random.Generator:
    """Return the random generator of a problem, a seed and a purpose."""
    return np.random.default_rng([seed, zlib.crc32(f"{problem} {purpose}".encode())])


def operands(problem: Problem, seed: int, kind: Fill = "normal", *, bias: bool = False) -> Operands:
    """Return the operands of `problem`, with a bias only if requested and `problem` has one.

    Examples
    --------
    >>> problem = Problem.parse("forward_n1c2h3w3_k4r2s2")
    >>> [array.shape for array in operands(problem, seed=0, bias=True)]
    [(1, 2, 3, 3), (4, 2, 2, 2), (4,)]
    """
    rng = generator(problem, seed, kind)
    first, second = problem.operand_shapes
    return Operands(
        fill(rng, first, problem.dtype, kind),
        fill(rng, second, problem.dtype, kind),
        fill(rng, problem.bias_shape, problem.dtype, kind) if bias and problem.bias_shape else None,
    )


def fill(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, kind: Fill) -> Array:
    """Return a new array of random numbers."""
    target = numpy_dtype(dtype)
    if target.kind in "iu":
        info = np.iinfo(target)
        if kind == "normal":
            return rng.integers(info.min, info.max, shape, target, endpoint=True)
        return rng.integers(0, 3, shape, target, endpoint=True)
    if target.kind == "c":
        return (_reals(rng, shape, kind) + 1j * _reals(rng, shape, kind)).astype(target)
    reals = _reals(rng, shape, kind).astype(target)
    if target.itemsize > 8 and kind != "exact":
        reals += rng.standard_normal(shape).astype(target) * 2.0**-60  # bits beyond float64
    return reals


def _reals(rng: np.random.Generator, shape: tuple[int, ...], kind: Fill) -> Array:
    if kind == "exact":
        return rng.integers(-3, 3, shape, endpoint=True).astype(np.float64)
    if kind == "positive":
        return rng.random(shape)
    return rng.standard_normal(shape)
