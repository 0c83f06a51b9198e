"""The bounds, against numbers worked out apart."""

from __future__ import annotations

import math

import numpy as np
import pytest

from convhub.arrays import numpy_dtype
from convhub.problem import Problem
from convhub.reference.bounds import NORMWISE_FACTOR, bound, machine_epsilon, worst
from convhub.reference.operands import operands
from convhub.reference.oracle import Exact, Operands, exact

WINDOW = Problem.parse("forward_n1c2h3w3_k1r3s3")


def ones(dtype):
    shape = operands(WINDOW, 0)
    return Operands(*(np.full(o.shape, -1, numpy_dtype(dtype)) for o in shape[:2]))


@pytest.mark.parametrize(("dtype", "epsilon"), [("float32", 2.0**-23), ("float64", 2.0**-52)])
def test_the_componentwise_bound(dtype, epsilon):
    problem = WINDOW.replace(dtype=dtype)
    right = exact(problem, ones(dtype))
    assert bound(problem, right).item() == pytest.approx((8 + math.sqrt(18)) * epsilon * 18, rel=1e-12)
    assert bound(problem, right, bias=True).item() == pytest.approx(
        (8 + math.sqrt(19)) * epsilon * 18, rel=1e-12
    )


def test_terms_are_those_of_the_primitive():
    problem = Problem.parse("grad_weight_float64_n3c2h5w6_k4r2s2")
    right = exact(problem, operands(problem, 0))
    ratio = bound(problem, right) / right.magnitude
    assert ratio.flat[0] == pytest.approx((8 + math.sqrt(3 * 4 * 5)) * 2.0**-52, rel=1e-12)


@pytest.mark.parametrize(("dtype", "epsilon"), [("float16", 2.0**-10), ("bfloat16", 2.0**-7)])
def test_narrow_types_have_half_a_step_more(dtype, epsilon):
    problem = WINDOW.replace(dtype=dtype)
    right = exact(problem, ones(dtype))
    inside = (8 + math.sqrt(18)) * 2.0**-23 * 18
    assert bound(problem, right).item() == pytest.approx(inside + 0.5 * epsilon * (18 + inside), rel=1e-12)
    assert machine_epsilon(dtype) == 2.0**-23


@pytest.mark.parametrize(("dtype", "smallest"), [("float16", 2.0**-24), ("bfloat16", 2.0**-133)])
def test_subnormal_results_may_err_by_half_their_distance(dtype, smallest):
    problem = Problem.parse(f"forward_{dtype}_n1c1h1w1_k1r1s1")
    tiny = Exact(np.full((1, 1, 1, 1), smallest / 4), np.zeros((1, 1, 1, 1)), np.zeros((1, 1, 1, 1)))
    assert bound(problem, tiny).item() == smallest / 2
    assert float(numpy_dtype(dtype).type(smallest)) == smallest
    assert float(numpy_dtype(dtype).type(smallest * 0.4)) == 0


def test_correct_rounding_is_within_the_bound_and_truncation_is_not():
    rng = np.random.default_rng(0)
    value = rng.uniform(1, 2, (1, 1, 40, 50))
    problem = Problem.parse("forward_float16_n1c1h40w50_k1r1s1")
    right = Exact(value, np.zeros_like(value), np.zeros_like(value))
    allowed = bound(problem, right)
    assert worst(value.astype(np.float16), right, allowed).ratio <= 1
    cut = (np.floor(value * 2**10) / 2**10).astype(np.float16)
    assert worst(cut, right, allowed).ratio > 1


def test_complex_numbers_have_four_times_the_bound():
    problem = WINDOW.replace(dtype="complex64")
    right = exact(problem, ones("complex64"))
    assert bound(problem, right).item() == pytest.approx(4 * (8 + math.sqrt(18)) * 2.0**-23 * 18, rel=1e-12)


def test_the_normwise_bound_is_the_largest_everywhere():
    problem = Problem.parse("forward_float32_n1c1h1w3_k1r1s1")
    x = np.array([[[[1.0, -4.0, 0.0]]]], np.float32)
    right = exact(problem, Operands(x, np.ones((1, 1, 1, 1), np.float32)))
    assert bound(problem, right).ravel().tolist() == [9 * 2.0**-23, 4 * 9 * 2.0**-23, 0]
    assert bound(problem, right, "normwise").ravel().tolist() == [NORMWISE_FACTOR * 4 * 9 * 2.0**-23] * 3


def test_integers_have_no_bound_but_zero():
    problem = WINDOW.replace(dtype="int32")
    given = ones("int32")
    right = exact(problem, given)
    assert bound(problem, right).tolist() == [[[[0.0]]]]
    assert worst(right.value, right, bound(problem, right)).ratio == 0
    assert worst(right.value + np.int32(1), right, bound(problem, right)).ratio == math.inf


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_infinitely_wrong(wrong):
    problem = Problem.parse("forward_float32_n1c1h1w3_k1r1s1")
    x = np.ones((1, 1, 1, 3), np.float32)
    right = exact(problem, Operands(x, np.ones((1, 1, 1, 1), np.float32)))
    result = x.copy()
    result[0, 0, 0, 1] = wrong
    found = worst(result, right, bound(problem, right))
    assert (found.ratio, found.place) == (math.inf, (0, 0, 0, 1))


def test_an_empty_result_is_right():
    problem = Problem.parse("forward_n0c1h1w3_k1r1s1")
    right = exact(problem, operands(problem, 0))
    assert worst(right.value.astype(np.float32), right, bound(problem, right, "normwise")).ratio == 0
