"""forward and grad_weight of layers with few input channels: sums, row ends, places, vector widths, bits."""

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
# Rows of outputs that all but fill vectors of 16: 31, 47, 63 and so on.
GEOMETRIES = {
    "read_in_place": "n2c3h11w49_k17r3s3",
    "padded": "n2c3h13w45_k16r3s3_pad2-0x1-3",
    "one_channel": "n1c1h21w47_k11r7s7_pad3",
    "strided": "n2c3h25w95_k22r3s3_stride2x2_pad1x1",
    "strided_and_dilated": "n1c2h33w101_k9r3s5_stride3x2_pad1-2x3-0_dilation2x3",
    "stride_four": "n1c4h31w129_k13r4s4_stride4_pad0x1",
    "several_blocks_of_terms": "n1c3h17w95_k9r5s5_stride1x2_pad2x1",
    "several_tiles": "n2c1h151w160_k10r3s3_pad1",
    "long_rows": "n1c1h3w5003_k9r2s2_pad1x0",
}


def problem_of(primitive, dtype, geometry):
    return Problem.parse(f"{primitive}_{dtype}_{GEOMETRIES[geometry]}")


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("primitive", ["forward", "grad_weight"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_results(geometry, primitive, dtype, rng):
    problem = problem_of(primitive, dtype, geometry)
    assert make_plan(problem, RunOptions(), 512).algorithm == "stem"
    given = operands(problem, rng.standard_normal)
    assert_right(problem, run(problem, *given), *given)


@pytest.mark.parametrize(("dtype", "bits"), TYPES_AND_WIDTHS)
@pytest.mark.parametrize("primitive", ["forward", "grad_weight"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_small_integers_are_exact_in_every_vector_width(bits, geometry, primitive, dtype, rng):
    problem = problem_of(primitive, dtype, geometry)
    assert make_plan(problem, RunOptions(), bits).algorithm == "stem"
    given = operands(problem, lambda shape: rng.integers(-2, 3, shape))
    result = run(problem, *given, vector_bits=bits)
    assert np.array_equal(result, oracle(problem, *given).astype(numpy_dtype(dtype)))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
@pytest.mark.parametrize("primitive", ["forward", "grad_weight"])
@pytest.mark.parametrize("geometry", ["strided", "several_blocks_of_terms", "several_tiles", "long_rows"])
def test_bits_do_not_depend_on_threads(geometry, primitive, dtype, rng):
    problem = problem_of(primitive, dtype, geometry)
    given = operands(problem, rng.standard_normal)
    alone = run(problem, *given)
    for threads in (2, 3, 16):
        options = RunOptions(threads=threads)
        assert make_plan(problem, options).algorithm == "stem"
        assert np.array_equal(alone, run(problem, *given, options=options))


@pytest.mark.parametrize("primitive", ["forward", "grad_weight"])
def test_bits_do_not_depend_on_the_workspace(primitive, rng):
    problem = problem_of(primitive, "float32", "several_tiles")
    given = operands(problem, rng.standard_normal)
    options = RunOptions(threads=16, workspace_limit=2**18)
    made = make_plan(problem.replace(batch=64), options)
    assert (made.algorithm, made.scratch_bytes <= 2**18) == ("stem", True)
    assert np.array_equal(run(problem, *given), run(problem, *given, options=options))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("primitive", ["forward", "grad_weight"])
@pytest.mark.parametrize("geometry", ["read_in_place", "strided_and_dilated"])
def test_a_pixel_that_is_not_finite_reaches_its_own_products_only(geometry, primitive, dtype, rng):
    problem = problem_of(primitive, dtype, geometry)
    for operand in (0, 1) if primitive == "grad_weight" else (0,):
        for value in (np.nan, np.inf):
            given = Operands(*operands(problem, rng.standard_normal))
            flat = given[operand].reshape(-1)
            flat[rng.integers(0, flat.size)] = value
            result = run(problem, *given)
            expected = expected_nonfinite(problem, given._replace(bias=None))
            if primitive == "grad_weight" and operand == 0:  # dy meets the zeros of the padding as well
                assert not (expected & np.isfinite(result)).any()
            else:
                assert np.array_equal(~np.isfinite(result), expected)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("primitive", ["forward", "grad_weight"])
def test_operands_may_lie_in_any_way(primitive, dtype, rng):
    problem = problem_of(primitive, dtype, "read_in_place")
    given = operands(problem, rng.standard_normal)
    turned = [None if operand is None else np.asfortranarray(operand) for operand in given]
    assert_right(problem, run(problem, *turned), *given)


@pytest.mark.parametrize(
    "text",
    ["forward_float32_n1c4h20w62_k8r5s5_pad2", "grad_weight_float32_n9c2h64w160_k10r3s3_pad1"],
)
def test_constant_sums_stay_in_the_bound(text):
    # All rounding errors of a constant's sum have the same sign: one long chain would exceed the bound.
    problem = Problem.parse(text)
    assert make_plan(problem, RunOptions()).algorithm == "stem"
    given = operands(problem, lambda shape: np.full(shape, 0.1))
    assert_right(problem, run(problem, *given), *given)
