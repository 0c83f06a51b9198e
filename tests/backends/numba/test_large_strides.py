"""grad_input with a large stride: planned in few steps, and right."""

from __future__ import annotations

import numpy as np
import pytest

from convhub.backend import RunOptions

pytest.importorskip("numba", reason="the engine under test is made of Numba")

from convhub_numba import backend, correlation
from convhub_numba.correlation import MOST_PHASES
from convhub_numba.planner import make_plan
from support.checking import assert_right, operands_of, problem_of, run

GEOMETRIES = {
    "few_taps": "n1c3h300w280_k2r3s3_stride130x140_pad1x1",
    "pixels_without_taps": "n2c9h67w70_k8r2s3_stride33x34",
    "kernel_of_the_stride": "n1c1h80w78_k2r40s39_stride40x39",
    "dilated": "n1c8h150w160_k8r3s3_stride64x32_dilation2x3",
    "one_axis": "n1c4h9w2100_k3r2s3_stride1x1050",
    "grouped": "n1c16h70w70_k16r3s3_stride33_groups16",
}


@pytest.fixture
def counted(monkeypatch):
    """Count the correlations that are made."""
    made = []
    real = correlation.Correlation

    def counting(*fields):
        made.append(0)
        return real(*fields)

    monkeypatch.setattr(correlation, "Correlation", counting)
    make_plan.cache_clear()
    return made


@pytest.mark.parametrize("stride", [33, 128, 512, 1024])
@pytest.mark.parametrize("taps", [1, 3, 17, 1024])
def test_a_plan_takes_few_steps_whatever_the_stride(stride, taps, counted):
    problem = problem_of(
        "grad_input", "float32", f"n1c8h2048w2048_k8r{taps}s3_stride{stride}_pad{min(taps, 3) - 1}x1"
    )
    made = make_plan(problem, RunOptions(threads=2))
    assert len(made.stages) <= MOST_PHASES
    assert len(counted) <= 3 * min(taps, stride) * 3


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_results(geometry):
    problem = problem_of("grad_input", "float32", GEOMETRIES[geometry])
    operands = operands_of(problem, np.random.default_rng(1))
    assert_right(run(backend, problem, operands), problem, operands)
