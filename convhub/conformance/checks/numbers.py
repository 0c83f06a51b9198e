"""Checks the numbers: against the oracle, exactly on integers, as adjoints, with NaN and infinity.

Each check is a function of a `Trial`. It returns the worst ratio of error to bound, or raises
`CheckFailure`, or `Skip` with the reason why it does not apply.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np

from ...arrays import numpy_dtype
from ...backend import Accuracy
from ...config import current
from ...dispatch.options import run_options
from ...problem import Problem, with_primitive
from ...reference.bounds import Worst, bound, worst
from ...reference.operands import operands
from ...reference.oracle import Array, Exact, Operands, exact, two_product
from ..calls import compute, refused, registered
from ..trial import CheckFailure, Skip, Trial

__all__ = [
    "accuracy",
    "adjoint",
    "check_form",
    "compare_exactly",
    "exact_integers",
    "judge",
    "positive_data",
    "random_data",
    "right_result",
    "tiny_scales",
    "within",
]

#: How many results of the oracle are kept.
REMEMBERED = 16


def random_data(trial: Trial) -> float:
    """Check random normal operands, without bias; integers from the whole range, which wrap around."""
    given = operands(trial.problem, trial.seed)
    return judge(trial, compute(trial, given), given, "random operands")


def positive_data(trial: Trial) -> float:
    """Check positive operands, with a bias where one is allowed: errors of one sign would add up."""
    given = operands(trial.problem, trial.seed, "positive", bias=True)
    return judge(trial, compute(trial, given), given, "positive operands and bias")


def exact_integers(trial: Trial) -> float:
    """Check small integers, which floats add exactly: the error must be 0.

    The same integers times powers of two must give the same digits: once the first operand is subnormal, and
    the result is normal but far from 1; once the result is subnormal.
    """
    declared = accuracy(trial)
    if declared != "componentwise":
        raise Skip(f"declares the accuracy class {declared}, which need not be exact on integers")
    if trial.problem.terms > 10**6:
        raise Skip("sums of more than 10**6 products are not exact in float32")
    given = operands(trial.problem, trial.seed, "exact", bias=True)
    expected = exact(trial.problem, given).value.astype(numpy_dtype(trial.problem.dtype))
    compare_exactly(trial, compute(trial, given), expected, "small integers")
    if expected.dtype.kind in "iu":
        return 0.0
    first, second = tiny_scales(trial.problem.dtype)
    # By `item`, since ml_dtypes 0.5.0 does not format its numbers.
    tiny, large = first.real.item(), second.real.item()
    what = f"small integers times {tiny:.3g}, which makes them subnormal, and {large:.3g}"
    _compare_scaled(trial, given, expected, first, second, what)
    # Nor may the large ones overflow on the way, if they are scaled.
    what = f"small integers times {large:.3g}, and {tiny:.3g}, which makes them subnormal"
    _compare_scaled(trial, given, expected, second, first, what)
    first, second = scales_of_smallest(trial.problem.dtype)
    what = "small integers times powers of two, so that results are subnormal"
    _compare_scaled(trial, given, expected, first, second, what)
    return 0.0


def _compare_scaled(
    trial: Trial, given: Operands, expected: Array, first: Any, second: Any, what: str
) -> None:
    bias = None if given.bias is None else given.bias * (first * second)
    scaled = Operands(given.first * first, given.second * second, bias)
    compare_exactly(trial, compute(trial, scaled), expected * (first * second), what)


def compare_exactly(trial: Trial, result: Array, expected: Array, what: str) -> None:
    """Raise `CheckFailure` unless a result equals what is expected, with its shape and dtype."""
    check_form(trial, result, expected)
    wrong = result != expected
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise CheckFailure(
            trial,
            f"{what}: {wrong.sum()} of {wrong.size} elements are not exact; at {place} is "
            f"{result[place]}, must be {expected[place]}",
        )


def adjoint(trial: Trial) -> float:
    """Check ⟨y, A x⟩ = ⟨Aᵀ y, x⟩ = ⟨dw, w⟩: the primitives are derivatives of each other for any gradient."""
    problem = trial.problem
    if numpy_dtype(problem.dtype).kind in "iu":
        raise Skip("integers are checked exactly")
    if problem.dtype in ("float128", "complex256"):
        raise Skip("inner products are made of float64, which is less precise than this type")
    forward = with_primitive(problem, "forward")
    x, w = operands(forward, trial.seed, "normal")[:2]
    dy = operands(with_primitive(problem, "grad_input"), trial.seed)[0]
    others = {"forward": (x, w, dy), "grad_input": (dy, w, x), "grad_weight": (dy, x, w)}
    partner = "grad_input" if problem.primitive == "forward" else "forward"
    scalars, allowed = [], 0.0
    for primitive in (problem.primitive, partner):
        one = with_primitive(problem, primitive)
        reason = refused(trial.backend, one)
        if reason is not None:
            raise Skip(f"needs {primitive} as well: {reason}")
        first, second, against = others[primitive]
        given = Operands(first, second)
        result = compute(trial, given, one)
        right = right_result(one, given)
        check_form(trial._replace(problem=one), result, right.value)
        limits = bound(one, right, accuracy(trial._replace(problem=one)))
        scalars.append(_inner_product(result, against))
        allowed += float((limits * np.abs(against).astype(np.float64)).sum())
    difference = abs(scalars[0] - scalars[1])
    ratio = difference / allowed if difference else 0.0
    if not ratio <= 1:
        raise CheckFailure(
            trial,
            f"{problem.primitive} and {partner} are no adjoints: {scalars[0]} and {scalars[1]} "
            f"differ by {ratio:.3g} times what rounding allows",
            ratio,
        )
    return ratio


# --- helpers of the checks --------------------------------------------------------------------------------


_remembered: dict[tuple[Problem, bytes], Exact] = {}


def right_result(problem: Problem, given: Operands) -> Exact:
    """Return the oracle's result, cached since several checks and backends need the same one."""
    digest = hashlib.blake2b()
    for operand in given:
        digest.update(b"none" if operand is None else operand.tobytes())
    key = (problem, digest.digest())
    if key not in _remembered:
        while len(_remembered) >= REMEMBERED:
            _remembered.pop(next(iter(_remembered)))
        _remembered[key] = exact(problem, given)
    return _remembered[key]


def judge(trial: Trial, result: Array, given: Operands, what: str) -> float:
    """Return the worst ratio of error to bound, or raise `CheckFailure` if it is above 1."""
    right = right_result(trial.problem, given)
    check_form(trial, result, right.value)
    limits = bound(trial.problem, right, accuracy(trial), bias=given.bias is not None)
    return within(trial, worst(result, right, limits), what, result, right)


def check_form(trial: Trial, result: Array, right: Array) -> None:
    """Raise `CheckFailure` unless a result has the right shape and dtype."""
    if result.shape != right.shape or result.dtype.name != trial.problem.dtype:
        raise CheckFailure(
            trial,
            f"the result is {result.dtype} of shape {result.shape}; it must be {trial.problem.dtype} of "
            f"shape {right.shape}",
        )


def within(
    trial: Trial, found: Worst, what: str, result: Array | None = None, right: Exact | None = None
) -> float:
    """Return a ratio of error to bound, or raise `CheckFailure` if it is above 1."""
    if found.ratio <= 1:
        return found.ratio
    values = ""
    if result is not None and right is not None:
        values = f" (is {result[found.place]}, must be {right.value[found.place]})"
    raise CheckFailure(
        trial, f"{what}: the error at {found.place} is {found.ratio:.3g} times its bound{values}", found.ratio
    )


def accuracy(trial: Trial) -> Accuracy:
    """Return the accuracy class that the backend declares for a problem."""
    entry = registered(trial.backend)
    return entry.backend.accuracy_of(trial.problem, run_options(entry, current()))


def _inner_product(a: Array, b: Array) -> complex:
    """Return Σ a·b without conjugation, rounded once (of the double of each element)."""
    if a.dtype.kind == "c":
        real = _real_inner(a.real, b.real) - _real_inner(a.imag, b.imag)
        return complex(real, _real_inner(a.real, b.imag) + _real_inner(a.imag, b.real))
    return complex(_real_inner(a, b))


def _real_inner(a: Array, b: Array) -> float:
    main, rest = two_product(a.astype(np.float64).ravel(), b.astype(np.float64).ravel())
    return math.fsum(np.concatenate((main, rest)).tolist())


def tiny_scales(dtype: str) -> tuple[Any, Any]:
    """Return two powers of two, in a floating-point type, to scale operands of small integers.

    The first makes integers up to 3 subnormal. The second is large, but leaves room for sums of products.

    Examples
    --------
    >>> import math
    >>> [math.log2(scale) for scale in tiny_scales("float32")]
    [-147.0, 125.0]
    """
    smallest, beyond = _exponents(dtype)
    return _power(dtype, smallest + 2), _power(dtype, beyond - 3)


def scales_of_smallest(dtype: str) -> tuple[Any, Any]:
    """Return two powers of two, in a floating-point type, whose product is its smallest number.

    Examples
    --------
    >>> import math
    >>> [math.log2(scale) for scale in scales_of_smallest("float32")]
    [-75.0, -74.0]
    """
    smallest, _ = _exponents(dtype)
    return _power(dtype, smallest // 2), _power(dtype, smallest - smallest // 2)


def _exponents(dtype: str) -> tuple[int, int]:
    """Return the powers of two of the smallest number, and of the first that is too large."""
    if dtype == "bfloat16":
        return -133, 128
    info = np.finfo(numpy_dtype(dtype))
    return int(info.minexp) - int(info.nmant), int(info.maxexp)


def _power(dtype: str, exponent: int) -> Any:
    return numpy_dtype(dtype).type(np.ldexp(np.longdouble(1), exponent))  # of the range of every type
