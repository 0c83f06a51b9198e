"""Checks that long sums keep their bound: those of equal numbers, and of random ones.

Additions of equal numbers may all round the same way, so that the error grows with the number of terms while
the bound grows with its root. The expected results are cheap: for equal numbers a product times a count, in
exact fractions; for random ones a few elements only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from ...arrays import numpy_dtype
from ...problem import Problem
from ...reference.bounds import LONG, bound, worst
from ...reference.operands import operands
from ...reference.oracle import Array, Exact, Operands
from ...reference.samples import choose_elements, greatest_magnitude, recompute
from ..calls import compute, registered
from ..trial import Skip, Trial
from .numbers import accuracy, check_form, within

__all__ = ["counts", "equal_numbers", "exactly", "long_sums"]

#: The values of the operands; complex numbers have them in both parts. None is exact in few bits.
EQUAL = ((0.1, 0.3), (0.7, 0.07))
#: How many elements of the result are compared for random operands.
ELEMENTS = 4


def long_sums(trial: Trial) -> float:
    """Check equal, random and positive operands where sums have many terms."""
    problem = trial.problem
    if problem.terms < LONG:
        raise Skip(f"sums of fewer than {LONG} products; random data and positive data tell of these")
    ratio = equal_numbers(trial)
    for kind in ("normal", "positive"):
        given = operands(problem, trial.seed, kind)
        result = compute(trial, given)
        elements = tuple(index[:ELEMENTS] for index in choose_elements(problem, trial.seed))
        right = recompute(problem, given, (elements[0], elements[1], elements[2], elements[3]))
        check_form(trial, result, np.empty(problem.result_shape))
        found = Exact(right.value, right.low, right.magnitude)
        if accuracy(trial) == "normwise":
            found = found._replace(magnitude=_largest(problem, given, right.magnitude))
        limits = bound(problem, found, accuracy(trial), long_sums=_declared(trial))
        name = {"normal": "random", "positive": "positive"}[kind]
        compared = result[elements]
        ratio = max(ratio, within(trial, worst(compared, found, limits), f"{name} operands", compared, found))
    return ratio


def _declared(trial: Trial) -> bool:
    return registered(trial.backend).backend.capabilities.long_sums


def _largest(problem: Problem, given: Operands, magnitude: Array) -> Array:
    return np.full_like(magnitude, greatest_magnitude(problem, given))


def equal_numbers(trial: Trial) -> float:
    """Check every element of the result for operands that each hold one number everywhere."""
    problem, ratio = trial.problem, 0.0
    dtype = numpy_dtype(problem.dtype)
    if dtype.kind in "iu":
        raise Skip("integers are added without an error")
    first, second = problem.operand_shapes
    for one, other in EQUAL:
        values = [_value(dtype, one, other), _value(dtype, other, one)]
        result = compute(trial, Operands(np.full(first, values[0], dtype), np.full(second, values[1], dtype)))
        right = exactly(problem, values[0], values[1])
        check_form(trial, result, right.value)
        limits = bound(problem, right, accuracy(trial), long_sums=_declared(trial))
        what = f"operands of {values[0]} and {values[1]} everywhere"
        ratio = max(ratio, within(trial, worst(result, right, limits), what, result, right))
    return ratio


def _value(dtype: np.dtype[Any], one: float, other: float) -> np.generic:
    number: np.generic = dtype.type(complex(one, other) if dtype.kind == "c" else one)
    return number


def exactly(problem: Problem, one: np.generic, other: np.generic) -> Exact:
    """Return the exact result, of shape ``problem.result_shape``, for operands of one number each.

    Examples
    --------
    >>> problem = Problem.parse("forward_float64_n1c2h1w3_k1r1s2_pad0x1")
    >>> exactly(problem, np.float64(3), np.float64(0.5)).value
    array([[[[3., 6., 6., 3.]]]])
    """
    a, b = _parts(one), _parts(other)
    real, imaginary = a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]
    size = math.hypot(*map(float, a)) * math.hypot(*map(float, b))
    counted = counts(problem)
    each, place = np.unique(counted, return_inverse=True)
    value, low = (
        np.array(part).reshape(-1)[place].reshape(counted.shape)
        for part in zip(*(_in_two(int(count), real, imaginary) for count in each), strict=True)
    )
    if numpy_dtype(problem.dtype).kind != "c":
        value, low = value.real, low.real
    shape = problem.result_shape
    return Exact(*(np.broadcast_to(part, shape) for part in (value, low, counted * size)))


def _parts(number: np.generic) -> tuple[Fraction, Fraction]:
    """Return a number's parts, exactly."""
    real, imaginary = np.real(number), np.imag(number)
    return _fraction(real), _fraction(imaginary)


def _fraction(number: np.generic) -> Fraction:
    main = float(number)
    return Fraction(main) + Fraction(float(number - type(number)(main)))  # type: ignore[operator]


def _in_two(count: int, *parts: Fraction) -> tuple[complex, complex]:
    """Return `count` times a number, as the nearest double and the remainder."""
    values = [float(count * part) for part in parts]
    return complex(*values), complex(
        *(float(count * part - Fraction(value)) for part, value in zip(parts, values, strict=True))
    )


def counts(problem: Problem) -> Array:
    """Return how many products each element in a plane of the result sums.

    Examples
    --------
    >>> counts(Problem.parse("forward_n1c2h1w3_k1r1s2_pad0x1"))
    array([[2, 4, 4, 2]])
    """
    each = {
        "forward": problem.group_channels[0],
        "grad_input": problem.group_channels[1],
        "grad_weight": problem.batch,
    }[problem.primitive]
    down, across = (_of_axis[problem.primitive](problem, axis) for axis in (0, 1))
    return np.asarray(each * down[:, None] * across)


def _of_output(problem: Problem, axis: int) -> Array:
    start = np.arange(problem.output_size[axis]) * problem.stride[axis] - problem.padding[axis][0]
    return _met(start, problem.dilation[axis], problem.kernel_size[axis], problem.input_size[axis])


def _of_weight(problem: Problem, axis: int) -> Array:
    start = np.arange(problem.kernel_size[axis]) * problem.dilation[axis] - problem.padding[axis][0]
    return _met(start, problem.stride[axis], problem.output_size[axis], problem.input_size[axis])


def _of_input(problem: Problem, axis: int) -> Array:
    found = np.zeros(problem.input_size[axis], np.int64)
    outputs = np.arange(problem.output_size[axis]) * problem.stride[axis] - problem.padding[axis][0]
    taps = np.arange(problem.kernel_size[axis]) * problem.dilation[axis]
    few, many = sorted((outputs, taps), key=len)
    for start in few:
        places = start + many
        np.add.at(found, places[(places >= 0) & (places < len(found))], 1)
    return found


def _met(start: Array, step: int, count: int, size: int) -> Array:
    """Return for each start how many of ``start + i * step``, ``0 <= i < count``, lie in ``range(size)``."""
    first, last = np.maximum(0, -(start // step)), np.minimum(count - 1, (size - 1 - start) // step)
    met: Array = np.maximum(0, last - first + 1)
    return met


_of_axis: dict[str, Callable[[Problem, int], Array]] = {
    "forward": _of_output,
    "grad_input": _of_input,
    "grad_weight": _of_weight,
}
