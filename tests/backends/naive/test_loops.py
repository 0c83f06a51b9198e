"""The readable specification: right, and with the sums that it promises."""

import numpy as np
import pytest
from convhub_naive import convhub_backends
from convhub_naive.loops import places
from support.checking import GEOMETRIES, PRIMITIVES, assert_right, expected_nonfinite, problem_of, run

from convhub.problem import Problem
from convhub.reference.operands import operands

NAIVE = convhub_backends()[0]
SMALL = {name: text for name, text in GEOMETRIES.items() if Problem.parse(text).macs < 60_000}


@pytest.mark.parametrize("geometry", SMALL.values(), ids=SMALL)
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_right_for_every_parameter(primitive, geometry):
    for kind in ("normal", "positive"):
        problem = problem_of(primitive, "float64", geometry)
        given = operands(problem, 0, kind, bias=True)
        assert_right(run(NAIVE, problem, given), problem, given)


@pytest.mark.parametrize("dtype", NAIVE.capabilities.dtypes)
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_right_for_every_type(primitive, dtype):
    problem = problem_of(primitive, dtype, "n2c4h6w5_k6r3s2_stride2x1_pad1-0x0-2_dilation1x2_groups2")
    given = operands(problem, 1, bias=True)
    assert_right(run(NAIVE, problem, given), problem, given)


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_small_integers_have_no_error(primitive):
    problem = problem_of(primitive, "float32", SMALL["padded"])
    given = operands(problem, 2, "exact", bias=True)
    assert assert_right(run(NAIVE, problem, given), problem, given) == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_padding_is_left_out(primitive, which, value):
    problem = problem_of(primitive, "float64", SMALL["padded"])
    given = operands(problem, 3)
    given[which][0, 0, 0, 0] = value
    result = run(NAIVE, problem, given)
    assert np.array_equal(~np.isfinite(result), expected_nonfinite(problem, given))


def test_halves_are_added_in_single():
    problem = Problem.parse("forward_float16_n1c1h1w4096_k1r1s4096")
    ones = np.ones(problem.input_shape, np.float16)
    total = NAIVE.forward(ones, ones, None, problem, None)
    assert total.item() == 4096  # in float16, the sum of ones ends at 2048


def test_places_leave_no_product_out():
    problem = Problem.parse("forward_n2c4h5w6_k6r3s2_groups2")
    assert len(set(places(problem))) == problem.macs
