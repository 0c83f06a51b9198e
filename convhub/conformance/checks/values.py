"""Checks numbers of very different scales, and at the ends of a type's range."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ...arrays import numpy_dtype
from ...reference.bounds import bound
from ...reference.operands import generator, operands
from ...reference.oracle import Array, Operands
from ..calls import compute
from ..trial import CheckFailure, Skip, Trial
from .numbers import accuracy, check_form, judge, right_result

__all__ = ["ends_of_range", "mixed_scales"]

#: Scales differ by up to 2 to this power, both ways.
SPREAD = {"float16": 2, "bfloat16": 20, "float32": 20, "complex64": 20}


def mixed_scales(trial: Trial) -> float:
    """Check images, and channels, of very different scales: each result is held to its own bound."""
    if numpy_dtype(trial.problem.dtype).kind in "iu":
        raise Skip("integers are checked exactly")
    ratio = 0.0
    spread = SPREAD.get(trial.problem.dtype, 40)
    given = operands(trial.problem, trial.seed)
    for axis in (0, 1):
        rng = generator(trial.problem, trial.seed, f"scales {axis}")
        scaled = Operands(*(_scaled(rng, array, axis, spread) for array in given[:2]))
        what = f"operands whose scale differs along axis {axis}"
        ratio = max(ratio, judge(trial, compute(trial, scaled), scaled, what))
    return ratio


def _scaled(rng: np.random.Generator, array: Array, axis: int, spread: int) -> Array:
    """Return an array with each index of an axis times a power of two of its own."""
    powers = np.exp2(rng.integers(-spread, spread, array.shape[axis], endpoint=True).astype(np.float64))
    shape = tuple(size if i == axis else 1 for i, size in enumerate(array.shape))
    scaled: Array = array * powers.reshape(shape).astype(array.dtype)
    return scaled


def ends_of_range(trial: Trial) -> float:
    """Check integers that just fit, and the largest; and float16 sums about the largest number.

    The ends of other floating-point types depend on the order of summing.
    """
    problem = trial.problem
    if numpy_dtype(problem.dtype).kind in "iu":
        for what, given in _integers(trial):
            judge(trial, compute(trial, given), given, what)
        return 0.0
    if problem.dtype != "float16":
        raise Skip("where its sums overflow depends on their order")
    given = operands(problem, trial.seed)
    # Partial sums pass the largest number, as results may; they are made in float32.
    loud = given.map(lambda array: array * np.float16(2**8))
    _judge_half(trial, compute(trial, loud), loud, "sums about the largest number")
    quiet = given.map(lambda array: array * np.float16(2.0**-10))
    return judge(trial, compute(trial, quiet), quiet, "results that are subnormal")


def _integers(trial: Trial) -> Iterator[tuple[str, Operands]]:
    info = np.iinfo(numpy_dtype(trial.problem.dtype))
    given = operands(trial.problem, trial.seed)
    for one, other in ((info.max, info.max), (info.min, info.max), (info.min, info.min)):
        extreme = Operands(np.full_like(given.first, one), np.full_like(given.second, other))
        yield f"operands of {one} and {other} everywhere", extreme
    # Sums of these are far from 0, and within the type.
    most = max(1, math.isqrt(info.max // max(1, trial.problem.terms)))
    rng = generator(trial.problem, trial.seed, "fitting")
    fitting = given.map(lambda a: np.asarray(rng.integers(most // 2, most, a.shape, a.dtype, endpoint=True)))
    yield f"operands from {most // 2} to {most}", fitting


#: Halfway between the largest float16, 65504, and the next power of two: from here on it rounds to infinity.
OVERFLOW = 65520.0


def _judge_half(trial: Trial, result: Array, given: Operands, what: str) -> None:
    """Raise `CheckFailure` unless results are within the bound, or infinite where they are too large."""
    right = right_result(trial.problem, given)
    check_form(trial, result, right.value)
    limits = bound(trial.problem, right, accuracy(trial))
    values = result.astype(np.float64)
    clipped = np.clip(right.value, -OVERFLOW, OVERFLOW)
    close = (np.abs(values - clipped) <= limits) & (np.abs(right.value) - limits < OVERFLOW)
    infinite = (values == np.copysign(math.inf, right.value)) & (np.abs(right.value) + limits >= OVERFLOW)
    wrong = ~(close | infinite)
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise CheckFailure(
            trial,
            f"{what}: {np.count_nonzero(wrong)} of {wrong.size} elements are wrong; at {place} is "
            f"{result[place]}, must be {right.value[place]} as a float16",
        )
