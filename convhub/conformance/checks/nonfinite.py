"""Checks that NaN and infinities reach the results that they belong to, and no others."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ...arrays import numpy_dtype
from ...problem import Problem
from ...reference.bounds import bound, worst
from ...reference.operands import generator, operands
from ...reference.oracle import Array, Exact, Operands, count_products
from ..calls import compute
from ..trial import CheckFailure, Skip, Trial
from .numbers import accuracy, check_form, right_result, within

__all__ = ["nonfinite"]


class Planted(NamedTuple):
    """Operands of which some elements are not finite, and the same with 0 in their place.

    `reached` are the results that have a part of them. `positive` and `negative` are those that have an
    infinity of that sign.
    """

    value: float
    where: str
    dirty: Operands
    zeroed: Operands
    reached: Array
    positive: Array
    negative: Array


def nonfinite(trial: Trial) -> float:
    """Check that NaN and infinities in any operand reach the results whose window holds them, and no others.

    A result with infinities of one sign is that infinity; one with both signs, or with a NaN, is NaN.
    """
    problem = trial.problem
    if numpy_dtype(problem.dtype).kind in "iu":
        raise Skip("integers have no NaN")
    if not all(map(math.prod, problem.operand_shapes)):
        raise Skip("an empty batch holds no NaN")
    ratio = 0.0
    for value in (math.nan, math.inf):
        for position, name in enumerate(_NAMES[problem.primitive]):
            planted = _planted(trial, position, name, value)
            ratio = max(ratio, _judge(trial, planted, meets_padding=_meets_padding(problem, position)))
        if problem.bias_shape:
            ratio = max(ratio, _judge(trial, _in_bias(trial, value), meets_padding=False))
    return ratio


_NAMES = {
    "forward": ("input", "weight"),
    "grad_input": ("grad_output", "weight"),
    "grad_weight": ("grad_output", "input"),
}


def _meets_padding(problem: Problem, position: int) -> bool:
    """Return whether an operand may meet zeros that the algorithm adds.

    The contract leaves open whether NaN times such a zero is NaN or is skipped. The gradient of the input
    may be a convolution with zeros between the elements of grad_output.
    """
    if problem.primitive == "grad_input":
        return position == 1
    meets = 1 if problem.primitive == "forward" else 0
    return problem.padding != ((0, 0), (0, 0)) and position == meets


def _planted(trial: Trial, position: int, name: str, value: float) -> Planted:
    problem = trial.problem
    # Zeros are replaced: times infinity they would be NaN, or be skipped by some backends.
    clean = [np.where(a == 0, np.ones_like(a), a) for a in operands(problem, trial.seed)[:2]]
    holder, other = clean[position], clean[1 - position]
    rng = generator(problem, trial.seed, f"plant {position}")
    places = np.zeros(holder.shape, np.bool_)
    places.flat[rng.choice(places.size, min(3, max(1, places.size // 4)), replace=False)] = True
    dirty, zeroed, marks = [*clean], [*clean], [np.ones(a.shape, np.bool_) for a in clean]
    dirty[position] = np.where(places, holder.dtype.type(value), holder)
    zeroed[position] = np.where(places, holder.dtype.type(0), holder)
    marks[position] = places
    counts = []
    for factors in (np.ones(other.shape, np.bool_), other.real > 0, other.real < 0):
        marks[1 - position] = factors
        counts.append(count_products(problem, *marks) > 0)
    return Planted(value, name, Operands(*dirty), Operands(*zeroed), *counts)


def _in_bias(trial: Trial, value: float) -> Planted:
    given = operands(trial.problem, trial.seed, bias=True)
    assert given.bias is not None
    place = int(generator(trial.problem, trial.seed, "plant bias").integers(given.bias.size))
    bias, without = given.bias.copy(), given.bias.copy()
    bias[place], without[place] = value, 0
    reached = np.zeros(trial.problem.result_shape, np.bool_)
    reached[:, place] = True
    return Planted(
        value,
        "bias",
        given._replace(bias=bias),
        given._replace(bias=without),
        reached,
        reached,
        np.zeros_like(reached),
    )


def _judge(trial: Trial, planted: Planted, *, meets_padding: bool) -> float:
    problem, reached = trial.problem, planted.reached
    result = compute(trial, planted.dirty)
    right = right_result(problem, planted.zeroed)
    check_form(trial, result, right.value)
    values = result.astype(np.complex128 if result.dtype.kind == "c" else np.float64)
    finite = np.isfinite(values)
    what = f"{planted.value} in {planted.where}"
    _require(trial, ~(reached & finite), result, what, "must not be finite")
    # A transform mixes the elements of a tile, so NaN may spread beyond the window, and infinities meet.
    if meets_padding or accuracy(trial) == "normwise":
        return 0.0
    _require(trial, reached | finite, result, what, "has no part in it")
    if result.dtype.kind != "c" and math.isinf(planted.value):
        up, down = planted.positive, planted.negative
        for found, wanted, must in (
            (values == math.inf, up & ~down, "must be inf"),
            (values == -math.inf, down & ~up, "must be -inf"),
            (np.isnan(values), up & down, "must be nan, since infinities of both signs meet"),
        ):
            _require(trial, found | ~wanted, result, what, must)
    limits = bound(problem, right, accuracy(trial), bias=planted.zeroed.bias is not None)
    settled = Exact(np.where(reached, 0, right.value), np.where(reached, 0, right.low), right.magnitude)
    remaining = np.where(reached, np.zeros_like(result), result)
    return within(trial, worst(remaining, settled, limits), f"{what}, elsewhere")


def _require(trial: Trial, holds: Array, result: Array, what: str, must: str) -> None:
    """Raise `CheckFailure` unless something holds for each result."""
    if not holds.all():
        place = tuple(int(i) for i in np.argwhere(~holds)[0])
        raise CheckFailure(trial, f"{what}: the result at {place} {must}, and is {result[place]}")
