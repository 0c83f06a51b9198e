"""Winograd's algorithm in the Numba engine: its matrices, its results, NaN and infinity."""

from fractions import Fraction

import numpy as np
import pytest

from convhub.backend import RunOptions
from convhub.reference.bounds import NORMWISE_FACTOR

pytest.importorskip("numba", reason="the engine under test is made of Numba")

from convhub_numba import Options, backend
from convhub_numba.algorithms.winograd.matrices import Scheme, matrices
from convhub_numba.planner import make_plan
from support.checking import assert_right, expected_nonfinite, operands_of, problem_of, run

GEOMETRIES = {
    "plain": "n2c20h13w18_k17r3s3",
    "padded": "n3c16h9w7_k33r3s3_pad1-2x2-0",
    "smaller_than_a_tile": "n2c9h3w4_k5r3s3_pad1x0",
    "one_output": "n1c4h3w3_k3r3s3",
    "rows_of_one_tile": "n5c18h21w3_k20r3s3_pad1x1",
    "grouped": "n2c24h11w10_k36r3s3_pad1_groups3",
    "many_channels": "n1c150h6w9_k30r3s3_pad1",
    "many_tiles": "n2c17h40w75_k19r3s3_pad1",
    "five": "n2c19h14w11_k18r5s5_pad2x1",
    "one_row_of_taps": "n3c18h7w19_k20r1s5_pad0x3",
    "one_row_of_seven_taps": "n1c101h25w28_k101r1s7_pad0x3",
    "one_column_of_taps": "n2c35h19w6_k16r4s1_pad2-4x0",
    "two_by_two": "n2c16h9w14_k19r2s2_pad1x0",
    "strided": "n2c21h15w18_k18r3s3_stride2_pad1",
    "strided_unevenly": "n2c17h14w21_k33r3s5_stride1x2_pad0-1x2",
    "strided_five": "n1c16h17w12_k16r5s5_stride2_pad2x1",
    "stride_three": "n2c16h19w23_k20r5s5_stride3_pad1",
    "strided_past_the_image": "n1c16h10w9_k16r3s3_stride2_pad0",
    "dilated": "n2c18h15w22_k17r3s3_pad2x3_dilation2x3",
    "dilated_five": "n1c16h14w17_k16r5s5_pad4_dilation2",
    "padding_past_the_kernel": "n2c16h4w5_k16r3s3_pad3x4",
}
ALWAYS = Options(winograd="always")


SCHEMES = [
    Scheme(4, 3), Scheme(3, 3), Scheme(2, 3), Scheme(3, 5), Scheme(2, 7), Scheme(4, 7), Scheme(4, 2),
    Scheme(1, 1), Scheme(4, 3, stride=2), Scheme(4, 5, stride=2), Scheme(3, 3, stride=3),
    Scheme(4, 3, spread=True), Scheme(3, 5, spread=True), Scheme(4, 3, 2, True), Scheme(2, 7, 2, True),
    Scheme(3, 5, 3, True),
]  # fmt: skip


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_matrices_make_the_correlation_exactly(scheme):
    generator = np.random.default_rng(scheme.taps)
    d = [Fraction(int(v)) for v in generator.integers(-9, 9, scheme.sources)]
    g = [Fraction(int(v)) for v in generator.integers(-9, 9, scheme.taps)]
    made = matrices(scheme)
    assert len(made.weight) == scheme.points
    product = [
        sum(a * b for a, b in zip(row, g, strict=True)) * sum(a * b for a, b in zip(line, d, strict=True))
        for row, line in zip(made.weight, made.source, strict=True)
    ]
    found = [sum(a * b for a, b in zip(row, product, strict=True)) for row in made.to_outputs]
    if scheme.spread:
        expected = [
            sum(
                g[t] * d[(u - t) // scheme.stride + scheme.reach]
                for t in range(scheme.taps)
                if (u - t) % scheme.stride == 0
            )
            for u in range(scheme.results)
        ]
    else:
        expected = [
            sum(g[t] * d[a * scheme.stride + t] for t in range(scheme.taps)) for a in range(scheme.results)
        ]
    assert found == expected
    assert Scheme.decoded(scheme.encoded()) == scheme


PRIMITIVES = ["forward", "grad_input", "grad_weight"]


@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_results(geometry, primitive):
    check_result(geometry, primitive, "float32", 0)


@pytest.mark.parametrize("bits", [128, 256, 512])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", ["smaller_than_a_tile", "grouped", "strided"])
def test_results_at_every_vector_width(geometry, primitive, dtype, bits):
    check_result(geometry, primitive, dtype, bits)


def check_result(geometry, primitive, dtype, bits):
    problem = problem_of(primitive, dtype, GEOMETRIES[geometry])
    own = Options(vector_bits=bits, winograd="always")
    assert make_plan(problem, RunOptions(backend=own)).algorithm == "winograd"
    operands = operands_of(problem, np.random.default_rng(bits))
    result = run(backend, problem, operands, backend=own)
    # The planner takes a scheme only where it keeps the bound without the factor.
    assert assert_right(result, problem, operands, "normwise") <= 1 / NORMWISE_FACTOR


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_views_give_the_bits_of_contiguous_arrays(primitive):
    problem = problem_of(primitive, "float32", "n2c20h13w18_k17r3s3_pad1")
    operands = operands_of(problem, np.random.default_rng(3))
    expected = run(backend, problem, operands, backend=ALWAYS)
    reversed_ = operands.map(lambda array: np.flip(np.flip(array).copy()))
    fortran = operands.map(np.asfortranarray)
    for views in (reversed_, fortran):
        np.testing.assert_array_equal(run(backend, problem, views, backend=ALWAYS), expected)


@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", ["many_tiles", "grouped", "five", "dilated"])
def test_bits_do_not_depend_on_threads(geometry, primitive):
    problem = problem_of(primitive, "float32", GEOMETRIES[geometry].replace("n2", "n7"))
    operands = operands_of(problem, np.random.default_rng(4))
    results = [run(backend, problem, operands, backend=ALWAYS, threads=threads) for threads in (1, 2, 3, 8)]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", ["plain", "padded", "grouped", "five", "strided", "dilated"])
def test_what_is_not_finite_reaches_only_the_outputs_that_see_it(geometry, primitive, value):
    problem = problem_of(primitive, "float32", GEOMETRIES[geometry])
    generator = np.random.default_rng(5)
    operands = operands_of(problem, generator)
    first = operands.first.copy()
    for _ in range(3):
        first[tuple(generator.integers(0, size) for size in first.shape)] = value
    second = operands.second.copy()
    second[1, 0, 0, 1] = value
    for poisoned in (operands._replace(first=first), operands._replace(second=second)):
        result = run(backend, problem, poisoned, backend=ALWAYS)
        expected = expected_nonfinite(problem, poisoned)
        np.testing.assert_array_equal(~np.isfinite(result), expected)
        clean = run(backend, problem, operands, backend=ALWAYS)
        largest = np.abs(clean).max()
        np.testing.assert_allclose(result[~expected], clean[~expected], rtol=0, atol=1e-5 * largest)


def test_transforms_that_overflow_are_computed_plainly():
    problem = problem_of("forward", "float32", "n1c4h12w12_k3r3s3_pad1")
    operands = operands_of(problem, np.random.default_rng(6), bias=False)
    huge = operands._replace(
        first=operands.first * np.float32(2e37), second=operands.second * np.float32(0.1)
    )
    result = run(backend, problem, huge, backend=ALWAYS)
    assert np.isfinite(result).all()
    assert_right(result, problem, huge, "normwise")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channels", [16, 17, 64])
@pytest.mark.parametrize("padding", ["", "_pad1"])
def test_ones_give_exact_counts(channels, dtype, padding):
    problem = problem_of("forward", dtype, f"n1c{channels}h16w24_k16r3s3{padding}")
    assert make_plan(problem, RunOptions(backend=ALWAYS)).algorithm == "winograd"
    operands = operands_of(problem, np.random.default_rng(7), bias=False).map(np.ones_like)
    result = run(backend, problem, operands, backend=ALWAYS)
    rows, columns = (
        np.convolve(np.ones(size), np.ones(3), "same" if padding else "valid") for size in (16, 24)
    )
    np.testing.assert_array_equal(result[0, 0], channels * np.multiply.outer(rows, columns))
    assert (result == result[:, :1]).all()


def test_strict_accuracy_and_the_option_keep_it_out():
    problem = problem_of("forward", "float32", "n4c64h28w28_k64r3s3_pad1")
    assert make_plan(problem, RunOptions()).algorithm == "winograd"
    assert backend.accuracy_of(problem, RunOptions()) == "normwise"
    for options in (RunOptions(accuracy="strict"), RunOptions(backend=Options(winograd="never"))):
        assert make_plan(problem, options).algorithm != "winograd"
        assert backend.accuracy_of(problem, options) == "componentwise"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_narrow_types_never_take_it(primitive, dtype):
    problem = problem_of(primitive, dtype, "n4c64h28w28_k64r3s3_pad1")
    options = RunOptions(backend=ALWAYS)
    assert make_plan(problem, options).algorithm != "winograd"
    assert backend.accuracy_of(problem, options) == "componentwise"


def test_a_workspace_limit_that_does_not_hold_the_transforms_is_obeyed():
    problem = problem_of("forward", "float32", "n4c64h28w28_k64r3s3_pad1")
    made = make_plan(problem, RunOptions(workspace_limit=1 << 20))
    assert made.algorithm != "winograd"
    assert made.scratch_bytes <= 1 << 20


def test_what_is_explained_names_tiles_and_blocks():
    problem = problem_of("forward", "float32", "n4c128h28w28_k128r3s3_pad1")
    said = backend.algorithm(problem, RunOptions(backend=Options(vector_bits=512)))
    assert said.startswith("winograd, 4x4 outputs of 3x3 taps, 6 by 4 registers of 512 bits, ")
    assert "on 1 thread, " in said
