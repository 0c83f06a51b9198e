"""grad_input with a stride by all phases of a row at once: sums, row ends, places, vector widths, bits."""

import numpy as np
import pytest

from convhub.arrays import numpy_dtype
from convhub.backend import RunOptions
from convhub.problem import Problem
from convhub.reference.oracle import Operands

pytest.importorskip("numba", reason="the engine under test is made of Numba")
pytest.importorskip("ml_dtypes", reason="it has NumPy's bfloat16")

from convhub_numba.planner import make_plan
from convhub_numba.vectors.phase_microkernel import shared_columns
from support.checking import expected_nonfinite
from support.plain_sums import assert_right, operands, oracle, run

DTYPES = ("float16", "bfloat16", "float32", "float64")
GEOMETRIES = {
    "plain": "n2c3h33w70_k7r3s3_stride2",
    "odd_row": "n1c3h15w75_k6r3s3_stride2x2_pad1x1",
    "one_channel": "n2c1h21w79_k9r5s5_stride2_pad1",
    "asymmetric": "n1c2h17w81_k5r7s5_stride3x2_pad1-2x3-0",
    "dilated": "n1c3h25w90_k4r3s3_stride2_pad3x5_dilation2x3",
    "dilation_shares_the_stride": "n1c2h21w83_k4r2s3_stride2x4_pad1x2_dilation3x2",
    "stride_four": "n1c3h31w147_k5r11s11_stride4",
    "four_channels": "n1c4h14w137_k5r5s7_stride1x4_pad2x3",
    "stride_past_the_kernel": "n2c3h17w85_k6r2s1_stride5x4_pad1x0",
    "truncated": "n1c3h40w95_k4r3s3_stride2_pad1_out9x21",
    "several_tiles": "n1c3h131w301_k3r3s3_stride2_pad1",
    "many_terms": "n1c3h13w67_k150r3s3_stride2_pad1",
}


def problem_of(dtype, geometry):
    return Problem.parse(f"grad_input_{dtype}_{GEOMETRIES[geometry]}")


@pytest.fixture
def rng():
    return np.random.default_rng(7)


# Each pattern of kernel columns is compiled again: not every type meets every one of them.
@pytest.mark.parametrize(
    ("geometry", "dtype"),
    [(geometry, "float32") for geometry in GEOMETRIES]
    + [(geometry, dtype) for geometry in ("odd_row", "asymmetric") for dtype in DTYPES if dtype != "float32"],
)
def test_results(geometry, dtype, rng):
    problem = problem_of(dtype, geometry)
    assert make_plan(problem, RunOptions()).algorithm == "phases"
    given = operands(problem, rng.standard_normal)
    assert_right(problem, run(problem, *given), *given)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("geometry", ["odd_row", "stride_four", "truncated"])
@pytest.mark.parametrize("bits", [128, 256, 512])
def test_small_integers_are_exact_in_every_vector_width(bits, geometry, dtype, rng):
    problem = problem_of(dtype, geometry)
    given = operands(problem, lambda shape: rng.integers(-2, 3, shape))
    result = run(problem, *given, vector_bits=bits)
    assert np.array_equal(result, oracle(problem, *given).astype(numpy_dtype(dtype)))


@pytest.mark.parametrize("dtype", ["float32"])
@pytest.mark.parametrize("geometry", ["odd_row", "asymmetric", "several_tiles", "many_terms"])
def test_bits_depend_on_neither_threads_nor_workspace(geometry, dtype, rng):
    problem = problem_of(dtype, geometry)
    given = operands(problem, rng.standard_normal)
    alone = run(problem, *given)
    for options in (RunOptions(threads=3), RunOptions(threads=16), RunOptions(workspace_limit=2**19)):
        assert make_plan(problem, options).algorithm == "phases"
        assert make_plan(problem, options).scratch_bytes <= options.workspace_limit
        assert np.array_equal(alone, run(problem, *given, options=options))


@pytest.mark.parametrize("geometry", ["odd_row", "dilated", "stride_past_the_kernel", "truncated"])
def test_a_pixel_that_is_not_finite_reaches_its_own_products_only(geometry, rng):
    problem = problem_of("float32", geometry)
    given = Operands(*operands(problem, rng.standard_normal))
    flat = given.first.reshape(-1)
    flat[rng.integers(0, flat.size, 3)] = np.nan, np.inf, -np.inf
    result = run(problem, *given)
    assert np.array_equal(~np.isfinite(result), expected_nonfinite(problem, given._replace(bias=None)))


@pytest.mark.parametrize("geometry", ["odd_row", "stride_four"])
def test_operands_may_lie_in_any_way(geometry, rng):
    problem = problem_of("float32", geometry)
    given = operands(problem, rng.standard_normal)
    turned = [np.asfortranarray(operand) for operand in given]
    assert_right(problem, run(problem, *turned), *given)


def test_constant_sums_stay_in_the_bound():
    # All rounding errors of a constant's sum have the same sign: one long chain would exceed the bound.
    problem = problem_of("float32", "many_terms")
    given = operands(problem, lambda shape: np.full(shape, 0.1))
    assert_right(problem, run(problem, *given), *given)


def test_each_kernel_column_belongs_to_one_phase():
    least, columns = shared_columns(5, 2, 1, 1)
    # Column 2b of dx, one right of the padding, meets kernel columns 1 and 3; column 2b + 1 the others.
    assert (least, columns) == (-1, [(0, [(3, 0), (4, 1)]), (1, [(1, 0), (2, 1)]), (2, [(0, 1)])])
    for S, step, first, dilation in ((3, 4, 3, 2), (11, 4, 2, 1), (1, 2, 1, 5)):
        _, columns = shared_columns(S, step, first, dilation)
        assert sorted(s for _, users in columns for s, _ in users) == list(range(S))
