"""Winograd's algorithm in the Numba engine: its matrices, its results, NaN and infinity."""

from fractions import Fraction

import numpy as np
import pytest

from convhub.backend import RunOptions
from convhub.conformance.oracle import Operands

pytest.importorskip("numba", reason="the engine under test is made of Numba")

from checking import assert_right, expected_nonfinite, operands_of, problem_of, run
from convhub_numba import Options, backend
from convhub_numba.plan import plan
from convhub_numba.winograd_matrices import matrices

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
    "padding_past_the_kernel": "n2c16h4w5_k16r3s3_pad3x4",
}
ALWAYS = Options(winograd="always")


@pytest.mark.parametrize(("outputs", "taps"), [(2, 3), (4, 3), (2, 5)])
def test_matrices_make_the_correlation_exactly(outputs, taps):
    generator = np.random.default_rng(taps)
    d = [Fraction(int(v)) for v in generator.integers(-9, 9, outputs + taps - 1)]
    g = [Fraction(int(v)) for v in generator.integers(-9, 9, taps)]
    made = matrices(outputs, taps)
    product = [
        sum(a * b for a, b in zip(row, g, strict=True)) * sum(a * b for a, b in zip(line, d, strict=True))
        for row, line in zip(made.weight, made.source, strict=True)
    ]
    found = [sum(a * b for a, b in zip(row, product, strict=True)) for row in made.output]
    assert found == [sum(g[j] * d[i + j] for j in range(taps)) for i in range(outputs)]


@pytest.mark.parametrize("bits", [128, 256, 512])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("primitive", ["forward", "grad_input"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_results_at_every_vector_width(geometry, primitive, dtype, bits):
    problem = problem_of(primitive, dtype, GEOMETRIES[geometry])
    own = Options(vector_bits=bits, winograd="always")
    assert plan(problem, RunOptions(backend=own)).algorithm == "winograd"
    operands = operands_of(problem, np.random.default_rng(bits))
    result = run(backend, problem, operands, backend=own)
    assert_right(result, problem, operands, "normwise")


@pytest.mark.parametrize("primitive", ["forward", "grad_input"])
def test_views_give_the_bits_of_contiguous_arrays(primitive):
    problem = problem_of(primitive, "float32", "n2c20h13w18_k17r3s3_pad1")
    operands = operands_of(problem, np.random.default_rng(3))
    expected = run(backend, problem, operands, backend=ALWAYS)
    reversed_ = Operands(*(np.flip(np.flip(a).copy()) for a in operands))
    fortran = Operands(*(np.asfortranarray(a) for a in operands))
    for views in (reversed_, fortran):
        np.testing.assert_array_equal(run(backend, problem, views, backend=ALWAYS), expected)


@pytest.mark.parametrize("geometry", ["many_tiles", "grouped", "five"])
def test_bits_do_not_depend_on_threads(geometry):
    problem = problem_of("forward", "float32", GEOMETRIES[geometry].replace("n2", "n7"))
    operands = operands_of(problem, np.random.default_rng(4))
    results = [run(backend, problem, operands, backend=ALWAYS, threads=threads) for threads in (1, 2, 3, 8)]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("primitive", ["forward", "grad_input"])
@pytest.mark.parametrize("geometry", ["plain", "padded", "grouped", "five"])
def test_what_is_not_finite_reaches_only_the_outputs_that_see_it(geometry, primitive, value):
    problem = problem_of(primitive, "float32", GEOMETRIES[geometry])
    generator = np.random.default_rng(5)
    operands = operands_of(problem, generator)
    first = operands.first.copy()
    for _ in range(3):
        first[tuple(generator.integers(0, size) for size in first.shape)] = value
    second = operands.second.copy()
    second[1, 0, 1, 2] = value
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


def test_strict_accuracy_and_the_option_keep_it_out():
    problem = problem_of("forward", "float32", "n4c64h28w28_k64r3s3_pad1")
    assert plan(problem, RunOptions()).algorithm == "winograd"
    assert backend.accuracy_of(problem, RunOptions()) == "normwise"
    for options in (RunOptions(accuracy="strict"), RunOptions(backend=Options(winograd="never"))):
        assert plan(problem, options).algorithm == "gemm"
        assert backend.accuracy_of(problem, options) == "componentwise"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("primitive", ["forward", "grad_input"])
def test_narrow_types_never_take_it(primitive, dtype):
    problem = problem_of(primitive, dtype, "n4c64h28w28_k64r3s3_pad1")
    options = RunOptions(backend=ALWAYS)
    assert plan(problem, options).algorithm == "gemm"
    assert backend.accuracy_of(problem, options) == "componentwise"


def test_a_workspace_limit_that_does_not_hold_the_transforms_is_obeyed():
    problem = problem_of("forward", "float32", "n4c64h28w28_k64r3s3_pad1")
    made = plan(problem, RunOptions(workspace_limit=1 << 20))
    assert made.algorithm == "gemm"
    assert made.scratch_bytes <= 1 << 20
