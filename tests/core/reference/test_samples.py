"""Elements that are computed again are those of the suite's oracle, which gathers them in another way."""

from __future__ import annotations

import numpy as np
import pytest

from convhub.problem import Problem
from convhub.reference import samples
from convhub.reference.operands import operands
from convhub.reference.oracle import Operands, exact
from convhub.reference.samples import choose_elements, greatest_magnitude, recompute

SIZES = (
    "n2c4h6w5_k6r3s2_stride2x1_pad1-0x2-1_dilation1x2_groups2",
    "n1c3h7w7_k3r3s3_stride3x2_pad2x2_groups3",
    "n3c2h4w4_k5r1s1",
    "n2c3h5w9_k2r2s4_stride1x3",
    "n0c2h4w4_k3r3s3",
)
DTYPES = (
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
    "int8",
    "uint64",
    "float128",
    "complex256",
)
PROBLEMS = [
    Problem.parse(f"{primitive}_{dtype}_{sizes}")
    for primitive in ("forward", "grad_input", "grad_weight")
    for sizes in SIZES
    for dtype in DTYPES
    if hasattr(np, dtype)
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_every_element_is_right(problem):
    given = operands(problem, seed=0, bias=True)
    right = exact(problem, given)
    elements = choose_elements(problem, seed=0)
    found = recompute(problem, given, elements)
    assert found.value.shape == (right.value.size,)
    assert found.finite.all()
    if problem.dtype in ("int8", "uint64"):
        assert np.array_equal(found.value, right.value[elements])
        return
    narrow = problem.dtype in ("float16", "float32", "complex64")
    tolerance = 1e-15 if narrow else 1e-30
    difference = (found.value - right.value[elements]) + (found.low - right.low[elements])
    assert (np.abs(difference) <= tolerance * right.magnitude[elements]).all()
    assert np.allclose(found.magnitude, right.magnitude[elements], rtol=1e-14, atol=0)
    assert greatest_magnitude(problem, given) >= right.magnitude.max(initial=0) * (1 - 1e-14)


def test_a_sum_is_exact_where_float64_is_not():
    image = np.array([[[[1e16, 1.0, -1e16, 3.0, 2.0**-60]]]])
    problem = Problem.parse("forward_float64_n1c1h1w5_k1r1s5")
    found = recompute(problem, Operands(image, np.ones((1, 1, 1, 5))), choose_elements(problem, 0))
    assert (found.value[0], found.low[0]) == (4.0, 2.0**-60)


def test_only_a_window_with_what_is_not_finite_is_marked():
    x, w = np.ones((1, 1, 3, 4)), np.ones((1, 1, 2, 2))
    x[0, 0, 0, 0], x[0, 0, 2, 3] = np.nan, -np.inf
    problem = Problem.parse("forward_float64_n1c1h3w4_k1r2s2")
    found = recompute(problem, Operands(x, w), choose_elements(problem, 0))
    assert found.finite.tolist() == [False, True, True, True, True, False]
    assert found.value[found.finite].tolist() == [4.0] * 4
    # On the padding a weight meets nothing, whatever it is.
    w[0, 0, 0, 0] = np.nan
    padded = Problem.parse("forward_float64_n1c1h1w1_k1r2s2_pad1x1")
    found = recompute(padded, Operands(np.ones((1, 1, 1, 1)), w), choose_elements(padded, 0))
    assert found.finite.tolist() == [True, True, True, False]


def test_sums_beyond_float64_are_not_judged():
    problem = Problem.parse("forward_float64_n1c1h1w2_k1r1s2")
    x = np.full((1, 1, 1, 2), 1e308)
    with np.errstate(all="ignore"):
        found = recompute(problem, Operands(x, x), choose_elements(problem, 0))
    assert np.isnan(found.value).all()


@pytest.mark.parametrize("primitive", ["forward", "grad_input", "grad_weight"])
def test_of_a_large_result_corners_and_others_are_chosen(primitive):
    problem = Problem.parse(f"{primitive}_float32_n4c256h30w30_k512r3s3")
    found = [
        set(zip(*map(np.ndarray.tolist, choose_elements(problem, seed)), strict=True)) for seed in (0, 0, 1)
    ]
    last = tuple(size - 1 for size in problem.result_shape)
    for elements in found:
        assert {(0, 0, 0, 0), last, (0, *last[1:]), (*last[:3], 0)} <= elements
        assert 64 <= len(elements) <= 64 + 16 + samples.PRODUCTS // problem.terms
    assert found[0] == found[1]
    assert len(found[0] & found[2]) < 32


def test_work_is_bounded_where_each_element_sums_much():
    problem = Problem.parse("grad_weight_float32_n64c8h300w300_k8r3s3")
    assert problem.terms > 2**22
    assert len(choose_elements(problem, 0)[0]) == 16
