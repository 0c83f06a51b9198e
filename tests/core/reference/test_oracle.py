"""The oracle, against what a person computes, exact fractions, and torch."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from convhub.conformance.checks.against_torch import torch_result
from convhub.conformance.problems.cases import EDGES
from convhub.conformance.verify import random_problems
from convhub.problem import PRIMITIVES, Problem
from convhub.reference.operands import operands
from convhub.reference.oracle import Operands, count_products, error, exact, two_product, two_sum

SMALL = [p for p in random_problems(60, seed=3) if p.macs < 3000]


def definition(problem, first, second, zero):
    """Follow the formula of `convhub.problem` number by number, in whatever the operands hold."""
    total = np.full(problem.result_shape, zero, dtype=object)
    (N, K, P, Q), (_, C, R, S) = problem.output_shape, problem.weight_shape
    H, W = problem.input_size
    for n, k, p, q, c, r, s in itertools.product(*map(range, (N, K, P, Q, C, R, S))):
        h = p * problem.stride[0] + r * problem.dilation[0] - problem.padding[0][0]
        v = q * problem.stride[1] + s * problem.dilation[1] - problem.padding[1][0]
        if 0 <= h < H and 0 <= v < W:
            x = (n, k // (K // problem.groups) * C + c, h, v)
            y, w = (n, k, p, q), (k, c, r, s)
            places = {"forward": (y, x, w), "grad_input": (x, y, w), "grad_weight": (w, y, x)}
            target, one, other = places[problem.primitive]
            total[target] += first[one] * second[other]
    return total


def fractions(array):
    """Return exact fractions of float64 or long double."""
    return np.vectorize(lambda v: Fraction(*v.as_integer_ratio()), otypes=[object])(array)


def test_forward_by_hand():
    problem = Problem.parse("forward_float64_n1c1h3w3_k1r2s2_stride2_pad1-0x0-1")
    x = np.array([[[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]]])
    w = np.array([[[[1.0, 10], [100, 1000]]]])
    # Windows: padding above [1 2], padding above [3 pad]; [4 5; 7 8], [6 pad; 9 pad].
    expected = [[100 + 2000, 300], [4 + 50 + 700 + 8000, 6 + 900]]
    right = exact(problem, Operands(x, w, np.array([0.5])))
    assert right.value[0, 0].tolist() == (np.array(expected) + 0.5).tolist()
    assert right.magnitude[0, 0].tolist() == (np.array(expected) + 0.5).tolist()


def test_grad_input_by_hand():
    problem = Problem.parse("grad_input_float32_n1c1h1w6_k1r1s2_stride1x2_dilation1x2")
    dy, w = np.array([[[[1.0, 2.0]]]], np.float32), np.array([[[[10.0, -1.0]]]], np.float32)
    # dy[0] spreads to columns 0 and 2, dy[1] to 2 and 4; column 5 is reached by none.
    right = exact(problem, Operands(dy, w))
    assert right.value[0, 0, 0].tolist() == [10, 0, 20 - 1, 0, -2, 0]
    assert right.magnitude[0, 0, 0].tolist() == [10, 0, 21, 0, 2, 0]


def test_grad_weight_by_hand():
    problem = Problem.parse("grad_weight_int8_n2c2h1w2_k2r1s2_pad0x1-0_groups2")
    dy = np.array([[[[1, 2]], [[3, 4]]], [[[1, 1]], [[0, 5]]]], np.int8)
    x = np.array([[[[5, 6]], [[7, 100]]], [[[2, 3]], [[4, 9]]]], np.int8)
    # k=0: s=0 meets (padding, x0), s=1 meets (x0, x1); summed over both images.
    expected = [
        [2 * 5 + 1 * 2, 1 * 5 + 2 * 6 + 1 * 2 + 1 * 3],
        [4 * 7 + 5 * 4, 3 * 7 + 4 * 100 + 0 * 4 + 5 * 9],
    ]
    right = exact(problem, Operands(dy, x))
    assert right.value[:, 0, 0].tolist() == np.array(expected).astype(np.int8).tolist()


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_float64_to_a_hundred_bits(primitive):
    for problem in SMALL:
        problem = problem.replace(primitive=primitive, dtype="float64")
        given = operands(problem, seed=1)
        right = exact(problem, given)
        truth = definition(problem, fractions(given.first), fractions(given.second), Fraction(0))
        ours = fractions(right.value) + fractions(right.low)
        scale = np.abs(fractions(right.magnitude))
        assert np.all(np.abs(ours - truth) <= scale * Fraction(1, 2**98)), str(problem)
        # The best that float64 can hold, in `value` alone.
        assert np.all(right.value == truth.astype(np.float64))


def test_cancellation_does_not_hurt():
    problem = Problem.parse("forward_float64_n1c4h1w1_k1r1s1")
    x = np.array([1e30, 1.0, -1e30, 1e-30]).reshape(1, 4, 1, 1)
    right = exact(problem, Operands(x, np.ones((1, 4, 1, 1)), np.array([2e-30])))
    assert (right.value.item(), right.low.item()) == (1.0, 1e-30 + 2e-30)


def test_long_double_has_its_last_bits():
    if np.finfo(np.longdouble).nmant != 63:
        pytest.skip("long double has other than 64 bits here")
    problem = Problem.parse("grad_weight_float128_n2c2h3w4_k2r2s2")
    given = operands(problem, seed=1)
    assert np.any(given.first != given.first.astype(np.float64))
    right = exact(problem, given)
    truth = definition(problem, fractions(given.first), fractions(given.second), Fraction(0))
    ours = fractions(right.value) + fractions(right.low)
    assert np.all(np.abs(ours - truth) <= np.abs(fractions(right.magnitude)) * Fraction(1, 2**98))


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_complex_numbers(primitive):
    problem = Problem(
        primitive, 2, 2, 4, (4, 3), (2, 2), (2, 1), ((1, 0), (0, 1)), groups=2, dtype="complex128"
    )
    given = operands(problem, seed=1, bias=True)
    right = exact(problem, given)
    parts = [[fractions(o.real), fractions(o.imag)] for o in given[:2]]
    zero = Fraction(0)
    real = definition(problem, parts[0][0], parts[1][0], zero) - definition(
        problem, parts[0][1], parts[1][1], zero
    )
    imaginary = definition(problem, parts[0][0], parts[1][1], zero) + definition(
        problem, parts[0][1], parts[1][0], zero
    )
    if given.bias is not None:
        real = real + fractions(given.bias.real)[:, None, None]
        imaginary = imaginary + fractions(given.bias.imag)[:, None, None]
    assert np.all(right.value.real == real.astype(np.float64))
    assert np.all(right.value.imag == imaginary.astype(np.float64))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64"])
def test_integers_wrap_around(dtype):
    for problem in SMALL[:12]:
        problem = problem.replace(dtype=dtype)
        given = operands(problem, seed=2)
        whole = definition(problem, given.first.astype(object), given.second.astype(object), 0)
        bits = 8 * np.dtype(dtype).itemsize
        wrapped = whole % 2**bits
        if dtype.startswith("int"):
            wrapped = (wrapped + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
        assert exact(problem, given).value.tolist() == wrapped.tolist()


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("text", EDGES.values(), ids=list(EDGES))
def test_against_torch(text, dtype):
    pytest.importorskip("torch")
    for primitive in PRIMITIVES:
        problem = Problem.parse(f"{primitive}_{dtype}_{text}")
        given = operands(problem, seed=4, bias=True)
        right = exact(problem, given)
        theirs = torch_result(problem, given)
        # torch adds up in float64, so that its own rounding is all that may differ.
        allowed = problem.terms * 2.0**-50 * right.magnitude
        assert np.all(np.abs(right.value - theirs) <= allowed), str(problem)


def test_products_are_counted():
    for problem in SMALL:
        shapes = [o.shape for o in operands(problem, 0)[:2]]
        rng = np.random.default_rng(0)
        marks = [rng.random(shape) < 0.5 for shape in shapes]
        truth = definition(problem, *(mark.astype(object) for mark in marks), 0)
        assert count_products(problem, *marks).tolist() == truth.astype(np.int64).tolist()


def test_two_sum_and_two_product_lose_nothing():
    rng = np.random.default_rng(0)
    a = rng.standard_normal(500) * 2.0 ** rng.integers(-200, 200, 500)
    b = rng.standard_normal(500) * 2.0 ** rng.integers(-200, 200, 500)
    for function, truth in (
        (two_sum, fractions(a) + fractions(b)),
        (two_product, fractions(a) * fractions(b)),
    ):
        main, rest = function(a, b)
        assert np.all(fractions(main) + fractions(rest) == truth)


def test_error_is_measured_beyond_the_precision_of_the_result():
    problem = Problem.parse("forward_float64_n1c1h1w1_k1r1s1")
    x = np.full((1, 1, 1, 1), 1 + 2.0**-52)
    right = exact(problem, Operands(x, x))  # 1 + 2**-51 + 2**-104
    assert error(right.value, right).item() == 2.0**-104
    assert error(np.full((1, 1, 1, 1), 1.0), right).item() == pytest.approx(2.0**-51, rel=1e-9)
    assert np.isnan(error(np.full((1, 1, 1, 1), np.nan), right).item())
