"""Full checks hold a result of the class normwise to the largest magnitude that there is, and not to more."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support import toy_backend
from support.changed_toy import after, registered, run

import convhub
from convhub.problem import PRIMITIVES, Problem
from convhub.reference.bounds import bound
from convhub.reference.operands import operands
from convhub.reference.oracle import exact

# The last one computes more than is looked at: the largest magnitude is that of another element.
GEOMETRIES = ("n1c8h7w7_k8r7s7_pad3x3", "n2c4h6w5_k6r3s2_stride2x1_groups2", "n1c40h19w20_k24r5s5_pad2x2")


@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_an_error_a_little_beyond_the_bound_is_found(geometry, primitive, monkeypatch):
    monkeypatch.setenv("CONVHUB_CHECK", "1")
    problem = Problem.parse(f"{primitive}_float32_{geometry}")
    given = operands(problem, 0)
    right = exact(problem, given)
    allowed = bound(problem, right, "normwise")
    loose = dataclasses.replace(toy_backend.toy.capabilities, accuracy="normwise")

    def off_by(part):
        return after(lambda y, *_: (right.value + part * allowed).astype(y.dtype))

    with registered(**off_by(0.95), capabilities=loose):
        run(problem, given)
    with (
        registered(**off_by(1.1), capabilities=loose),
        pytest.raises(convhub.BackendContractError, match="returned a wrong result") as caught,
    ):
        run(problem, given)
    assert f"must be within {np.max(allowed):.3g} of" in str(caught.value)
