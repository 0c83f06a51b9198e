"""Checks complex products that overflow or have an infinite factor, each part separately."""

from __future__ import annotations

import math

import numpy as np

from ...arrays import numpy_dtype
from ...reference.operands import generator, operands
from ...reference.oracle import Array, Operands, count_products
from ..calls import compute
from ..trial import CheckFailure, Skip, Trial
from .numbers import accuracy, check_form
from .sums import counts

__all__ = ["complex_overflow"]


def complex_overflow(trial: Trial) -> float:
    """Check that an overflow in one part of complex sums does not affect the other part.

    ``(a + bi)(c + di)`` is ``ac − bd`` and ``ad + bc``. Where all terms of a part have one sign, it is the
    infinity of that sign if they overflow; where they are zero, it is zero. Nothing is required where
    infinities of both signs, or an infinity and a zero, could meet.
    """
    problem = trial.problem
    if numpy_dtype(problem.dtype).kind != "c":
        raise Skip("real numbers have one part")
    if accuracy(trial) != "componentwise":
        raise Skip("declares the accuracy class normwise: a transform mixes what lies in one tile")
    huge = np.sqrt(np.finfo(problem.dtype).max) * 2**8  # in its own type: a long double may exceed float64
    first, second = problem.operand_shapes
    reached = np.broadcast_to(counts(problem) > 0, problem.result_shape)
    for one, other in ((1, 1), (1j, 1), (1, -1j), (1j, 1j)):
        units = np.full(first, one, problem.dtype), np.full(second, other, problem.dtype)
        given = Operands(*((unit * huge).astype(problem.dtype) for unit in units))
        product = complex(one * other)
        parts = [math.copysign(math.inf, part) if part else 0.0 for part in (product.real, product.imag)]
        what = f"operands of {one} and {other} times {huge:.3g} everywhere"
        _compare(trial, compute(trial, given), reached, parts, what)
    for position in (0, 1):
        _one_infinity(trial, position)
    return 0.0


def _one_infinity(trial: Trial, position: int) -> None:
    """Check one infinite number; its products have two infinite parts, since no other number is real."""
    problem = trial.problem
    padded = any(map(any, problem.padding))
    if padded and (problem.primitive == "grad_weight") != (position == 1):
        return  # it may meet a zero of the padding
    given = [np.abs(a.real) + 1 + 1j * (np.abs(a.imag) + 1) for a in operands(problem, trial.seed)[:2]]
    given = [a.astype(problem.dtype) for a in given]
    marks = [np.ones(a.shape, np.bool_) for a in given]
    marks[position] = np.zeros(given[position].shape, np.bool_)
    if not marks[position].size:
        return
    place = int(generator(problem, trial.seed, "infinity").integers(marks[position].size))
    given[position].flat[place] = complex(math.inf, 0)
    marks[position].flat[place] = True
    reached = count_products(problem, *marks) > 0
    name = ("the first operand", "the second operand")[position]
    result = compute(trial, Operands(*given))
    _compare(trial, np.where(reached, result, 0), reached, [math.inf, math.inf], f"one infinity in {name}")


def _compare(trial: Trial, result: Array, reached: Array, parts: list[float], what: str) -> None:
    check_form(trial, result, reached)
    for name, found, part in zip(("real", "imaginary"), (result.real, result.imag), parts, strict=True):
        wrong = np.where(reached, found != part, found != 0)
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            right = part if reached[place] else 0.0
            raise CheckFailure(
                trial, f"{what}: the {name} part at {place} is {found[place]}, must be {right}"
            )
