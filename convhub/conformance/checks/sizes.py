"""Checks that results are right for any combination of sizes, by few calls, so that many can be tried."""

from __future__ import annotations

import math

import numpy as np

from ...arrays import numpy_dtype
from ...reference.bounds import bound, worst
from ...reference.by_matrices import by_matrices
from ...reference.operands import operands
from ...reference.oracle import Array, Exact, Operands
from ..calls import compute
from ..trial import Skip, Trial
from .numbers import accuracy, check_form, compare_exactly, within

__all__ = ["any_size", "judge_integers"]


def any_size(trial: Trial) -> float:
    """Check small integers with a bias, which must be exact, and random numbers without one."""
    given = operands(trial.problem, trial.seed, "exact", bias=True)
    ratio = judge_integers(trial, compute(trial, given), given, "small integers")
    given = operands(trial.problem, trial.seed)
    result = compute(trial, given)
    if numpy_dtype(trial.problem.dtype).kind in "iu":
        return judge_integers(trial, result, given, "random operands")
    return max(ratio, _judge(trial, result, given, "random operands"))


def judge_integers(trial: Trial, result: Array, given: Operands, what: str) -> float:
    """Raise `CheckFailure` unless the result of small integers is right; return the ratio of error to bound.

    That is 0, except for backends of the accuracy class normwise, which need not be exact.
    """
    target = numpy_dtype(trial.problem.dtype)
    if target.kind not in "iu" and accuracy(trial) == "normwise":
        return _judge(trial, result, given, what)
    compare_exactly(trial, result, by_matrices(trial.problem, given).astype(target), what)
    return 0.0


def _judge(trial: Trial, result: Array, given: Operands, what: str) -> float:
    """Return the worst ratio of error to bound; the expected result is a sum in double precision."""
    if trial.problem.dtype in ("float128", "complex256"):
        raise Skip("the expected result is computed in float64, which is less precise than this type")
    value = by_matrices(trial.problem, given)
    check_form(trial, result, value)
    magnitude = by_matrices(trial.problem, given.map(lambda array: np.abs(array).astype(np.float64)))
    if accuracy(trial) == "normwise" and not magnitude.any():
        # Of nothing but padding: a transform errs by the scale of what it leaves out.
        largest = [float(np.abs(array).max(initial=0)) for array in given[:2]]
        magnitude = np.full_like(magnitude, trial.problem.terms * math.prod(largest))
    right = Exact(value, np.zeros_like(value), magnitude)
    # An expected result that is of the backend's own type errs as much as the backend may.
    room = 2 if trial.problem.dtype in ("float64", "complex128") else 1
    limits = room * bound(trial.problem, right, accuracy(trial), bias=given.bias is not None)
    return within(trial, worst(result, right, limits), what, result, right)
