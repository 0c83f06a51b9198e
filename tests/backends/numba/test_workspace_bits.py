"""The workspace limit decides no bits as long as it holds what one thread takes; planner.py says so."""

from __future__ import annotations

import numpy as np
import pytest

from convhub.backend import RunOptions

pytest.importorskip("numba", reason="the engine under test is made of Numba")

from convhub_numba import backend
from convhub_numba.planner import make_plan
from support.checking import operands_of, problem_of, run

PROBLEMS = [
    ("forward", "n4c64h28w28_k64r3s3_pad1", "winograd"),
    ("grad_weight", "n4c64h28w28_k64r3s3_pad1", "winograd"),
    ("forward", "n3c40h30w28_k48r3s3_stride3", "implicit_gemm"),
    ("grad_input", "n2c5h40w41_k9r3s3_pad1", "gemm"),
    ("forward", "n4c96h56w56_k24r1s1", "gemm"),
]


@pytest.mark.parametrize(("primitive", "geometry", "algorithm"), PROBLEMS)
def test_limits_that_hold_one_threads_plan_change_no_bits(primitive, geometry, algorithm):
    problem = problem_of(primitive, "float32", geometry)
    least = make_plan(problem, RunOptions(threads=1))
    assert least.algorithm == algorithm
    operands = operands_of(problem, np.random.default_rng(0))
    expected = run(backend, problem, operands, threads=2)
    limits = [least.scratch_bytes, 3 * least.scratch_bytes // 2]
    for limit in limits:
        made = make_plan(problem, RunOptions(threads=2, workspace_limit=limit))
        assert (made.algorithm, made.details) == (least.algorithm, least.details)
        assert made.scratch_bytes <= limit
        result = run(backend, problem, operands, threads=2, workspace_limit=limit)
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("primitive", ["forward", "grad_weight"])
def test_a_smaller_limit_chooses_another_algorithm(primitive):
    problem = problem_of(primitive, "float32", "n4c64h28w28_k64r3s3_pad1")
    least = make_plan(problem, RunOptions(threads=1))
    made = make_plan(problem, RunOptions(threads=1, workspace_limit=least.scratch_bytes - 1))
    assert made.algorithm != least.algorithm
    assert made.scratch_bytes < least.scratch_bytes
