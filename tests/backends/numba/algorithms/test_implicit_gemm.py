"""The implicit matrix product of the Numba engine: forward and grad_input with vectors of channels."""

import numpy as np
import pytest

from convhub.backend import RunOptions
from convhub.reference.oracle import Operands, exact

pytest.importorskip("numba", reason="the engine under test is made of Numba")
pytest.importorskip("ml_dtypes", reason="NumPy has no bfloat16 of its own")

from convhub_numba import Options, backend
from convhub_numba.planner import make_plan
from support.checking import TYPES_AND_WIDTHS, assert_right, expected_nonfinite, operands_of, problem_of, run

GEOMETRIES = {
    "plain": "n2c20h13w18_k17r3s3",
    "padded": "n3c16h9w7_k33r3s3_pad1-2x2-0",
    "strided": "n2c21h15w18_k18r3s4_stride2x3_pad1x2",
    "stride_past_the_kernel": "n2c17h13w17_k16r2s2_stride3x4_pad1-0x0-1",
    "dilated": "n1c16h19w23_k19r3s2_dilation2x5_pad2x3",
    "stride_and_dilation": "n1c18h17w20_k16r3s3_stride4x2_dilation2x4_pad3x1",
    "grouped": "n2c80h9w11_k72r3s3_pad1_groups2",
    "truncated": "n2c16h16w19_k20r3s3_stride2x3_pad1_out5x4",
    "rows_that_meet_padding": "n2c20h21w13_k18r5s3_stride2x1_dilation4x2",
    "small_images": "n9c33h3w4_k40r3s3_pad1",
    "pointwise": "n5c45h5w7_k46r1s1",
    "many_channels": "n1c250h6w9_k30r3s3_pad1",
    "many_rows": "n1c16h70w40_k50r3s1_pad1x0",
    "padding_past_the_kernel": "n2c16h4w5_k16r2s2_pad3x4",
}
PRIMITIVES = ["forward", "grad_input", "grad_weight"]
NEVER = Options(winograd="never")


def check(geometry, primitive, dtype, bits):
    problem = problem_of(primitive, dtype, GEOMETRIES[geometry])
    own = Options(vector_bits=bits, winograd="never")
    assert make_plan(problem, RunOptions(backend=own)).algorithm == "implicit_gemm"
    operands = operands_of(problem, np.random.default_rng(bits))
    assert_right(run(backend, problem, operands, backend=own), problem, operands)


@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_results(geometry, primitive):
    check(geometry, primitive, "float32", 512)


@pytest.mark.parametrize(("dtype", "bits"), TYPES_AND_WIDTHS)
@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", ["strided", "grouped"])
def test_results_at_every_vector_width(geometry, primitive, dtype, bits):
    check(geometry, primitive, dtype, bits)


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_integer_values_are_exact(primitive):
    problem = problem_of(primitive, "float32", GEOMETRIES["strided"])
    generator = np.random.default_rng(1)
    whole = operands_of(problem, generator).map(lambda array: np.round(4 * array))

    np.testing.assert_array_equal(
        run(backend, problem, whole, backend=NEVER), exact(problem, whole).value.astype("float32")
    )


@pytest.mark.parametrize("geometry", ["many_rows", "small_images", "grouped"])
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_bits_do_not_depend_on_threads_or_strides(geometry, primitive):
    problem = problem_of(primitive, "float32", GEOMETRIES[geometry])
    operands = operands_of(problem, np.random.default_rng(2))
    expected = run(backend, problem, operands, backend=NEVER)
    for threads in (2, 3, 8):
        np.testing.assert_array_equal(
            run(backend, problem, operands, backend=NEVER, threads=threads), expected
        )
    for views in (
        operands.map(np.asfortranarray),
        operands.map(lambda array: np.flip(np.flip(array).copy())),
    ):
        np.testing.assert_array_equal(run(backend, problem, views, backend=NEVER), expected)


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_what_is_not_finite_reaches_only_the_outputs_that_see_it(primitive):
    problem = problem_of(primitive, "float32", GEOMETRIES["padded"])
    operands = operands_of(problem, np.random.default_rng(3))
    first = operands.first.copy()
    first[1, 2, 3, 4] = np.nan
    poisoned = Operands(first, operands.second, operands.bias)
    result = run(backend, problem, poisoned, backend=NEVER)
    np.testing.assert_array_equal(~np.isfinite(result), expected_nonfinite(problem, poisoned))
