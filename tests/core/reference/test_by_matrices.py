"""Sums by products of matrices are those of the oracle."""

from __future__ import annotations

import numpy as np
import pytest

from convhub.conformance.problems.cases import EDGES
from convhub.problem import PRIMITIVES, Problem
from convhub.reference.by_matrices import by_matrices
from convhub.reference.operands import operands
from convhub.reference.oracle import exact


@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64", "uint8", "int64"])
def test_integers_are_equal(primitive, dtype):
    for text in EDGES.values():
        problem = Problem.parse(f"{primitive}_{dtype}_{text}")
        given = operands(problem, 1, "exact", bias=True)
        expected = exact(problem, given).value
        assert np.array_equal(by_matrices(problem, given).astype(expected.dtype), expected), problem


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_integers_wrap_around(primitive):
    problem = Problem.parse(f"{primitive}_int64_{EDGES['every parameter at once']}")
    given = operands(problem, 2, bias=True)
    assert np.array_equal(by_matrices(problem, given), exact(problem, given).value)


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_random_numbers_agree_in_double_precision(primitive):
    for text in EDGES.values():
        problem = Problem.parse(f"{primitive}_float64_{text}")
        given = operands(problem, 3, bias=True)
        right = exact(problem, given)
        difference = np.abs(by_matrices(problem, given) - right.value)
        assert (difference <= 2e-15 * problem.terms**0.5 * right.magnitude).all(), problem
