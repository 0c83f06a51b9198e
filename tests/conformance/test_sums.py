"""The check of long sums: its own oracle, its problems, and what a declaration changes."""

import numpy as np
import pytest

from convhub.conformance.checks.sums import counts, exactly
from convhub.conformance.problems import cases
from convhub.conformance.verify import run_check
from convhub.problem import PRIMITIVES, Problem
from convhub.reference.bounds import LONG, bound
from convhub.reference.oracle import Exact, Operands, count_products, exact


def test_products_are_counted_as_the_oracle_counts_them():
    rng = np.random.default_rng(0)
    for index in range(60):
        problem = cases.random_problem(rng, PRIMITIVES[index % 3], "float64")
        ones = [np.ones(shape, np.bool_) for shape in problem.operand_shapes]
        assert np.array_equal(
            np.broadcast_to(counts(problem), problem.result_shape), count_products(problem, *ones)
        )


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_sums_of_equal_numbers_are_those_of_the_oracle(dtype):
    problem = Problem.parse(f"forward_{dtype}_n2c6h7w9_k4r3s2_stride2x1_pad1-0x0-2_dilation1x2_groups2")
    one, other = (np.dtype(dtype).type(v) for v in ((0.1 + 0.3j, 0.7) if dtype[0] == "c" else (0.1, 0.7)))
    first, second = problem.operand_shapes
    right = exact(problem, Operands(np.full(first, one), np.full(second, other)))
    mine = exactly(problem, one, other)
    difference = (mine.value - right.value) + (mine.low - right.low)
    assert np.abs(difference).max() <= 1e-30 if dtype in ("float64", "complex128") else 1e-14
    np.testing.assert_allclose(mine.magnitude, right.magnitude, rtol=1e-6)


def test_each_primitive_is_long_along_each_axis():
    for primitive in PRIMITIVES:
        problems = cases.long_sums(primitive, "float32")
        assert {problem.terms for problem in problems} == {2**16, 10**6}
    long = {axis for problem in cases.long_sums("grad_weight", "float32") for axis in _long_axes(problem)}
    assert long == {"batch", "rows", "columns"}


def _long_axes(problem):
    sizes = {"batch": problem.batch, "rows": problem.output_size[0], "columns": problem.output_size[1]}
    return [axis for axis, size in sizes.items() if size >= 256]


def test_short_sums_are_left_to_other_checks():
    problem = Problem.parse("forward_float32_n1c8h3w3_k2r3s3")
    assert run_check("long sums", problem, "numpy").outcome == "skipped"


def test_who_declares_so_is_held_to_what_is_certain():
    one = np.ones(1)
    right = Exact(one, 0 * one, one)
    for text, certain in (("n1c100h1w1_k1r1s1", False), (f"n1c{LONG}h1w1_k1r1s1", True)):
        problem = Problem.parse(f"forward_float32_{text}")
        kept, declared = (bound(problem, right, long_sums=long).item() for long in (True, False))
        growth = problem.terms / 2 if certain else problem.terms**0.5
        assert kept == (8 + problem.terms**0.5) * 2.0**-23
        assert declared == (8 + growth) * 2.0**-23


@pytest.mark.parametrize("backend", ["naive", "numpy"])
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_parts_of_complex_numbers_overflow_apart(primitive, backend):
    for dtype in ("complex64", "complex128"):
        for text in ("n1c1h3w3_k1r2s2", "n1c3h6w5_k4r3s2_pad1x1_stride2x1", "n1c4h5w5_k4r3s3_groups4"):
            found = run_check("complex overflow", Problem.parse(f"{primitive}_{dtype}_{text}"), backend)
            assert found.outcome == "passed", found.detail


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_numpy_beyond_one_tile_overflows_alike(primitive):
    problem = Problem.parse(f"{primitive}_complex64_n1c20h16w16_k24r3s3_pad1x1")
    assert run_check("complex overflow", problem, "numpy").outcome == "passed"


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_numpy_passes_long_sums_of_each_primitive(primitive):
    for problem in cases.long_sums(primitive, "float32")[:2]:
        assert run_check("long sums", problem, "numpy").outcome == "passed"
