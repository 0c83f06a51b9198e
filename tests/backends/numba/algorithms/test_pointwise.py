"""grad_weight of 1 by 1 kernels by dot products of planes: sums, places, vector widths, bits."""

import numpy as np
import pytest

from convhub.arrays import numpy_dtype
from convhub.backend import RunOptions
from convhub.problem import Problem
from convhub.reference.oracle import Operands

pytest.importorskip("numba", reason="the engine under test is made of Numba")
pytest.importorskip("ml_dtypes", reason="it has NumPy's bfloat16")

from convhub_numba.planner import make_plan
from support.checking import TYPES_AND_WIDTHS, expected_nonfinite
from support.plain_sums import assert_right, operands, oracle, run

DTYPES = ("float16", "bfloat16", "float32", "float64")
GEOMETRIES = {
    "in_place": "n2c13h23w29_k15r1s1",
    "strided": "n1c17h47w81_k10r1s1_stride2x3",
    "padded": "n2c7h25w23_k9r1s1_pad1-0x2-3",
    "unused_pixels": "n2c9h34w62_k11r1s1_out33x61",
    "unused_rows": "n2c9h38w61_k11r1s1_out33x61",
    "several_blocks": "n2c11h61w67_k22r1s1",
    "several_groups_of_blocks": "n9c2h120w131_k9r1s1",
    "several_tasks": "n1c300h40w39_k9r1s1",
}


def problem_of(dtype, geometry):
    return Problem.parse(f"grad_weight_{dtype}_{GEOMETRIES[geometry]}")


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_results(geometry, dtype, rng):
    problem = problem_of(dtype, geometry)
    given = operands(problem, rng.standard_normal)
    assert_right(problem, run(problem, *given), *given)


@pytest.mark.parametrize(("dtype", "bits"), TYPES_AND_WIDTHS)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_small_integers_are_exact_in_every_vector_width(bits, geometry, dtype, rng):
    problem = problem_of(dtype, geometry)
    expected = "stem" if problem.in_channels <= 4 else "pointwise"
    assert make_plan(problem, RunOptions(), bits).algorithm == expected
    given = operands(problem, lambda shape: rng.integers(-2, 3, shape))
    result = run(problem, *given, vector_bits=bits)
    assert np.array_equal(result, oracle(problem, *given).astype(numpy_dtype(dtype)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("geometry", ["strided", "several_blocks", "several_tasks"])
def test_bits_depend_on_neither_threads_nor_workspace(geometry, dtype, rng):
    problem = problem_of(dtype, geometry)
    given = operands(problem, rng.standard_normal)
    alone = run(problem, *given)
    for options in (
        RunOptions(threads=2),
        RunOptions(threads=16),
        RunOptions(threads=2, workspace_limit=2**19),
    ):
        assert make_plan(problem, options).scratch_bytes <= options.workspace_limit
        assert make_plan(problem, options).algorithm == "pointwise"
        assert np.array_equal(alone, run(problem, *given, options=options))


@pytest.mark.parametrize("operand", [0, 1])
@pytest.mark.parametrize("geometry", ["in_place", "strided"])
def test_a_channel_that_is_not_finite_reaches_its_own_products_only(geometry, operand, rng):
    problem = problem_of("float32", geometry)
    for value in (np.nan, np.inf):
        given = Operands(*operands(problem, rng.standard_normal))
        flat = given[operand].reshape(-1)
        flat[-1] = value
        flat[0] = value
        assert np.array_equal(~np.isfinite(run(problem, *given)), expected_nonfinite(problem, given))


def test_operands_may_lie_in_any_way(rng):
    problem = problem_of("float32", "in_place")
    given = operands(problem, rng.standard_normal)
    turned = [None if operand is None else np.asfortranarray(operand) for operand in given]
    assert_right(problem, run(problem, *turned), *given)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constant_sums_stay_in_the_bound(dtype):
    # All rounding errors of a constant's sum have the same sign: one long chain would exceed the bound.
    problem = Problem.parse(f"grad_weight_{dtype}_n8c6h90w100_k10r1s1")
    given = operands(problem, lambda shape: np.full(shape, 0.1))
    assert_right(problem, run(problem, *given), *given)
