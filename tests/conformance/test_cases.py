"""What the suite tries: that pairs are crossed, edges are what they are called, and layouts are real."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest

from convhub.conformance.calls import tensor, to_numpy
from convhub.conformance.checks.poison import poisoned_memory
from convhub.conformance.problems.cases import (
    EDGES,
    FACTORS,
    LARGE,
    TAPS,
    crossed,
    edges,
    large,
    taps,
)
from convhub.conformance.problems.covering import covering
from convhub.conformance.problems.layouts import BUILDERS, broadcast, broadcast_values
from convhub.conformance.verify import random_problems
from convhub.problem import PRIMITIVES, Problem
from convhub.reference.operands import operands

BOTH = ("float32", "float64")


def test_each_two_values_meet():
    rows = list(covering(FACTORS))
    for one, other in itertools.combinations(FACTORS, 2):
        met = {(repr(row[one]), repr(row[other])) for row in rows}
        assert len(met) == len(FACTORS[one]) * len(FACTORS[other]), (one, other)
    product = np.prod([len(values) for values in FACTORS.values()])
    assert len(rows) < 100 < product


def test_crossed_problems_cover_what_they_must():
    problems = crossed(BOTH)
    assert {p.primitive for p in problems} == set(PRIMITIVES)
    assert {p.dtype for p in problems} == set(BOTH)
    for primitive in PRIMITIVES:
        mine = [p for p in problems if p.primitive == primitive]
        assert any(p.stride[0] != p.stride[1] for p in mine)
        assert any(p.dilation[0] > 1 and p.dilation[1] > 1 for p in mine)
        assert any(p.padding[0][0] != p.padding[0][1] for p in mine)
        assert any(p.groups > 1 and p.dilation != (1, 1) and p.stride != (1, 1) for p in mine)
        assert any(p.output_size != p.replace(output_size=(0, 0)).output_size for p in mine)


def test_edges_and_large_ones_are_tried_for_each_primitive():
    for table, found in ((EDGES, edges(BOTH)), (LARGE, large(BOTH))):
        assert len(set(found)) == 3 * len(table) == len(found)
    assert {p.dtype for p in large(BOTH)} == set(BOTH)
    assert all(10**6 < p.macs < 2 * 10**7 for p in large(BOTH))
    # Those that threads are given: an engine need not use them for less.
    assert sum(p.macs > 5 * 10**6 for p in large(BOTH)) > 10


def test_every_number_of_taps_is_tried_with_many_channels():
    found = taps(BOTH)
    assert len(set(found)) == 3 * len(TAPS) == len(found)
    for axis in (0, 1):
        assert {p.kernel_size[axis] for p in found} >= set(range(2, 8))
    assert all(min(p.in_channels, p.out_channels) >= 16 and p.macs < 5 * 10**6 for p in found)
    assert {(p.primitive, p.dtype) for p in found} == set(itertools.product(PRIMITIVES, BOTH))


def test_edges_are_what_they_are_called():
    by_name = {name: Problem.parse(text) for name, text in EDGES.items()}
    whole = by_name["kernel as large as the image"]
    assert whole.kernel_size == whole.input_size
    fewer = by_name["output_padding of the stride or more"]
    full = fewer.replace(output_size=(0, 0)).output_size
    assert fewer.output_size < full
    depthwise = by_name["depthwise with a multiplier"]
    assert depthwise.groups == depthwise.in_channels < depthwise.out_channels
    assert by_name["empty batch"].batch == 0


def test_random_problems_are_the_same_for_the_same_seed_and_wide_ranging():
    problems = list(random_problems(200, seed=0))
    assert problems == list(random_problems(200, seed=0))
    assert problems != list(random_problems(200, seed=1))
    assert len(set(problems)) > 190
    assert {p.primitive for p in problems} == set(PRIMITIVES)
    assert {p.dtype for p in problems} == set(BOTH)
    assert {p.batch for p in problems} >= {0, 1, 2, 3}
    assert max(p.groups for p in problems) >= 3
    assert any(a != b for p in problems for a, b in p.padding)
    assert max(p.macs for p in problems) < 10**7
    assert all(Problem.parse(str(p)) == p for p in problems)
    only = random_problems(20, seed=0, primitive="grad_weight", dtype="int8")
    assert {(p.primitive, p.dtype) for p in only} == {("grad_weight", "int8")}


@pytest.mark.parametrize("layout", BUILDERS)
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (7,), (0, 3, 2, 2)])
def test_layouts_hold_the_same_numbers(layout, shape):
    values = np.random.default_rng(0).standard_normal(shape)
    view, buffer = BUILDERS[layout](values)
    assert view.tolist() == values.tolist()
    assert not np.shares_memory(view, values)
    assert np.shares_memory(view, buffer) or not view.size


def test_layouts_are_what_they_are_called():
    values = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    views = {name: build(values).array for name, build in BUILDERS.items()}
    assert views["contiguous"].flags.c_contiguous
    assert all(step < 0 for step in views["reversed"].strides)
    assert views["Fortran order"].flags.f_contiguous
    assert views["channels last"].strides[1] == 8
    assert not views["unaligned"].flags.aligned
    assert not views["read-only"].flags.writeable
    assert views["sliced"].strides[-1] == 16
    assert np.isnan(BUILDERS["sliced"](values).buffer).any()
    spread = broadcast(broadcast_values(values))
    assert 0 in spread.array.strides
    assert spread.array.tolist() == broadcast_values(values).tolist()


def test_memory_is_poisoned():
    if not sys.platform.startswith("linux"):
        pytest.skip("only glibc can be told to fill what malloc gives")
    with poisoned_memory(Problem.parse("forward_n1c3h65w67_k16r7s7")):
        fresh = [np.empty(size, np.float64) for size in (200, 5000, 2**20)]
    for array in fresh:
        with np.errstate(invalid="ignore"):
            assert not (np.abs(array) < 1e100).any()


def test_data_follow_from_problem_and_seed():
    problem = Problem.parse("forward_n2c2h4w4_k3r2s2")
    one, same, other = (operands(problem, seed, bias=True) for seed in (0, 0, 1))
    assert one.first.tobytes() == same.first.tobytes() != other.first.tobytes()
    assert operands(problem.replace(primitive="grad_weight"), 0, bias=True).bias is None
    assert operands(problem, 0, "positive").first.min() >= 0
    small = operands(problem, 0, "exact").first
    assert set(small.ravel().tolist()) <= {-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0}


@pytest.mark.parametrize("layout", BUILDERS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64"])
def test_tensors_have_the_same_numbers_and_where_they_can_the_same_strides(layout, dtype):
    pytest.importorskip("torch")
    values = operands(Problem.parse(f"forward_{dtype}_n2c3h4w5_k1r1s1"), 0).first
    view = BUILDERS[layout](values).array
    made = tensor(view)
    assert to_numpy(made).tobytes() == values.tobytes()
    steps = [step // view.itemsize for step in view.strides]
    if layout in ("channels last", "Fortran order", "sliced", "contiguous"):
        assert list(made.stride()) == steps
