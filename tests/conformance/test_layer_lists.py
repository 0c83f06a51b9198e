"""The suite's lists of layers: every few values that can meet do, and real layers of every kind are there."""

from __future__ import annotations

import itertools
import math

import pytest
from conformance import layer_lists
from conformance.layer_lists import FACTORS, STRENGTH, layer, possible
from conformance.single_sizes import KNOWN, SINGLE, SINGLE_GROUPS

from convhub.bench.layers import built_in
from convhub.conformance.author import LEVELS
from convhub.conformance.problems.covering import covering, meetings
from convhub.conformance.problems.layers import KINDS, layers, path_of
from convhub.problem import Problem


def parsed(level):
    return [Problem.parse(text) for text in layers(level)]


def values_of(problem, level):
    """Yield the values of the factors that make a problem, which differ in a name for one padding."""
    factors = FACTORS[level]
    known = {
        "in_channels": problem.in_channels // problem.groups,
        "out_channels": problem.out_channels // problem.groups,
        **{name: getattr(problem, name) for name in ("groups", "batch", "kernel_size", "stride", "dilation")},
        "output_size": problem.output_size,
    }
    if any(value not in factors[name] for name, value in known.items()):
        return
    for padding, unused in itertools.product(factors["padding"], factors.get("unused", [(0, 0)])):
        values = known | {"padding": padding} | ({"unused": unused} if "unused" in factors else {})
        if layer(values) == problem:
            yield values


@pytest.mark.parametrize("level", LEVELS)
def test_the_files_are_as_they_would_be_written(level):
    renew = "PYTHONPATH=tests .venv/bin/python -m conformance.layer_lists"
    assert path_of(level).read_text(encoding="utf-8") == layer_lists.lists(level), f"run {renew}"


@pytest.mark.parametrize("level", LEVELS)
def test_whatever_values_can_meet_do(level):
    factors = FACTORS[level]
    rows = [values for problem in parsed(level) for values in values_of(problem, level)]
    met = set()
    for row in rows:
        places = [(name, factors[name].index(row[name])) for name in factors]
        met.update(itertools.combinations(places, STRENGTH[level]))
    wanted = {
        meeting
        for meeting in meetings(factors, STRENGTH[level])
        if possible({name: factors[name][place] for name, place in meeting})
    }
    assert wanted <= met
    assert len(wanted) > 0.9 * sum(1 for _ in meetings(factors, STRENGTH[level]))


@pytest.mark.parametrize("level", LEVELS)
def test_every_single_size_is_there(level):
    found = parsed(level)
    there = {
        "in_channels": {p.in_channels // p.groups for p in found},
        "out_channels": {p.out_channels // p.groups for p in found},
        **{
            name: {getattr(p, name) for p in found}
            for name in ("groups", "batch", "kernel_size", "stride", "dilation", "output_size")
        },
    }
    for name, sizes in there.items():
        assert {*SINGLE.get(name, ()), *SINGLE_GROUPS.get(name, ())} <= sizes, name
    assert {Problem.parse(text) for text in KNOWN.values()} <= set(found)


def test_what_cannot_meet_is_too_large():
    for meeting in meetings(FACTORS["full"], 3):
        values = {name: FACTORS["full"][name][place] for name, place in meeting}
        if not possible(values):
            problem = layer(values)
            sizes = [math.prod(shape) for shape in (*problem.operand_shapes, problem.result_shape)]
            columns = sizes[0] * math.prod(problem.kernel_size)
            assert max(problem.macs, max(sizes), columns) > layer_lists.MOST_COLUMNS


@pytest.mark.parametrize("level", LEVELS)
def test_layers_are_of_sizes_that_users_have(level):
    found = parsed(level)
    assert any(min(p.in_channels, p.out_channels) > 512 and p.groups == 1 for p in found)
    assert any(p.in_channels > 1024 and p.groups == 1 for p in found)
    assert any(p.out_channels > 1024 and p.groups == 1 for p in found)
    assert any(p.in_channels % 16 == p.out_channels % 16 == 0 and p.stride == (2, 2) for p in found)
    assert any(p.batch > 64 for p in found)
    assert any(p.batch > 1 and p.out_channels == 1 for p in found)
    assert any(math.prod(p.kernel_size) > 64 for p in found)
    assert any(p.kernel_size == (7, 7) and p.stride == (2, 2) and p.in_channels == 3 for p in found)
    assert any(p.input_size[0] == 1 and p.input_size[1] > 1000 for p in found)
    assert any(p.input_size[1] == 1 and p.input_size[0] > 1000 for p in found)
    assert any(p.kernel_size == (1, 1) and p.stride == (2, 2) and p.input_size[0] % 2 for p in found)
    assert any(p.kernel_size == (4, 4) and p.stride == (2, 2) for p in found)
    assert any(p.kernel_size == p.input_size and p.groups > 1 for p in found)
    assert any(p.stride[0] > 1 and p.dilation[1] > 1 and p.dilation[0] == 1 == p.stride[1] for p in found)
    sides = {tuple(map(bool, itertools.chain(*p.padding))) for p in found if p.kernel_size[0] % 2 == 0}
    assert {tuple(i == side for i in range(4)) for side in range(4)} <= sides
    assert max(p.macs for p in found) <= layer_lists.MOST_MACS


def test_each_kernel_of_a_network_is_there_if_it_is_small_enough():
    kernels = {(one.problem.kernel_size, one.problem.stride) for one in built_in()}
    for level in LEVELS:
        assert len(kernels - {(p.kernel_size, p.stride) for p in parsed(level)}) <= 0.1 * len(kernels)


def test_kinds_are_cheap():
    assert max(Problem.parse(text).macs for text in KINDS) < 10**6
    assert len({Problem.parse(text) for text in KINDS}) == len(KINDS)


def test_three_values_meet_in_every_way_and_what_is_impossible_is_left_out():
    factors = {"a": "xyz", "b": "xy", "c": "xyz", "d": "xy"}

    def allowed(row):
        return not (row.get("a") == "x" and row.get("b") == "y")

    rows = list(covering(factors, 3, allowed))
    assert all(allowed(row) for row in rows)
    met = {tuple((n, row[n]) for n in names) for row in rows for names in itertools.combinations(factors, 3)}
    for names in itertools.combinations(factors, 3):
        for values in itertools.product(*(factors[name] for name in names)):
            meeting = tuple(zip(names, values, strict=True))
            assert (meeting in met) == allowed(dict(meeting))
