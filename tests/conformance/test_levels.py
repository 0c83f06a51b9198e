"""What is tried at each level, and that quick is what a backend declares."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from support import toy_backend

from convhub.backend import Backend, Capabilities
from convhub.conformance import levels
from convhub.conformance.levels import (
    EVERY_DTYPE,
    QUICK_EDGES,
    QUICK_LARGE,
    QUICK_TAPS,
    narrowed,
    problems,
    quick,
)
from convhub.conformance.problems.cases import EDGES, LARGE, TAPS, crossed, edges, large, long_sums, taps
from convhub.conformance.subjects import SLOW_LIMIT, Subject
from convhub.problem import PRIMITIVES, Problem
from convhub.reference.bounds import LONG

BOTH = ("float32", "float64")


def declaring(**changes):
    """Return the toy backend with other capabilities."""
    return dataclasses.replace(toy_backend.toy, capabilities=Capabilities(**{"dtypes": BOTH, **changes}))


def test_full_is_what_the_suite_runs(toy):
    found = problems("full", Subject(toy, "cpu"))
    everything = [
        *crossed((*BOTH, "complex64", "complex128", "int64")),
        *edges(BOTH),
        *large(BOTH),
        *taps(BOTH),
        *(
            Problem.parse(f"{primitive}_{dtype}_{EDGES['pointwise']}")
            for primitive in PRIMITIVES
            for dtype in ("complex64", "complex128", "int64")
        ),
        *(problem for each in PRIMITIVES for dtype in BOTH for problem in long_sums(each, dtype)),
    ]
    assert set(found) == set(everything)
    assert len(found) == len(set(found))


def test_quick_is_small_and_the_same_every_time(toy):
    found = problems("quick", Subject(toy, "cpu"))
    assert found == problems("quick", Subject(toy, "cpu")) == quick(toy_backend.toy, "cpu")
    assert len(found) == len(set(found)) < len(problems("full", Subject(toy, "cpu")))
    assert len(found) < 170
    # What the checks cost grows with the products, and some 60 calls are made for each problem.
    # Long sums, which have one check of four calls, count for less.
    assert sum(problem.macs for problem in found if problem.terms < LONG) < 5 * 10**7
    assert sum(problem.macs for problem in found) < 3 * 10**8
    assert sum(problem.macs <= SLOW_LIMIT for problem in found) > 80


def test_quick_tries_what_full_does():
    texts = {*EDGES, *LARGE, *TAPS}
    assert texts >= {*QUICK_EDGES, *QUICK_LARGE, *QUICK_TAPS, *itertools.chain(*EVERY_DTYPE.values())}
    long = [problem for primitive in PRIMITIVES for problem in long_sums(primitive, "float32")]
    shapes = {
        problem.replace(dtype="float32") for problem in (*edges(BOTH), *large(BOTH), *taps(BOTH), *long)
    }
    assert {problem.replace(dtype="float32") for problem in quick(declaring(), "cpu")} <= shapes


def test_quick_tries_each_text_in_both_types_and_each_primitive_in_every_declared_one():
    found = quick(declaring(dtypes=(*BOTH, "bfloat16", "uint8")), "cpu")
    for name in QUICK_EDGES:
        mine = {
            (p.primitive, p.dtype)
            for p in found
            if p == Problem.parse(f"{p.primitive}_{p.dtype}_{EDGES[name]}")
        }
        assert {primitive for primitive, _ in mine} == set(PRIMITIVES)
        assert {dtype for _, dtype in mine} >= set(BOTH)
    for primitive, dtype in itertools.product(PRIMITIVES, (*BOTH, "bfloat16", "uint8")):
        mine = [p for p in found if (p.primitive, p.dtype) == (primitive, dtype)]
        assert any(p.groups > 1 and p.stride[0] != p.stride[1] and p.dilation != (1, 1) for p in mine)
        assert max(p.terms for p in mine) > 300


PARTIAL = [
    {"groups": False},
    {"stride": False},
    {"dilation": False},
    {"padding": False, "asymmetric_padding": False},
    {"asymmetric_padding": False},
    {"groups": False, "stride": False, "dilation": False, "padding": False, "asymmetric_padding": False},
    {"dtypes": ("float32",)},
    {"dtypes": ("int16",)},
    {"dtypes": {"forward": ("float64",), "grad_weight": ("complex64",)}},
]


@pytest.mark.parametrize("changes", PARTIAL, ids=str)
def test_a_partial_backend_is_given_what_it_declares(changes):
    backend = declaring(**changes)
    found = quick(backend, "cpu")
    assert [backend.capabilities.refusal(problem) for problem in found] == [None] * len(found)
    kinds = {(p.primitive, dtype) for p in found for dtype in backend.capabilities.dtypes_of(p.primitive)}
    assert kinds == {(p.primitive, p.dtype) for p in found}
    assert len(found) > 40


def test_a_primitive_that_is_not_offered_is_not_asked_for():
    found = quick(Backend("half", Capabilities(dtypes=("float32",)), forward=toy_backend.forward), "cpu")
    assert {problem.primitive for problem in found} == {"forward"}
    assert len(found) > 25


def test_narrowing_keeps_what_is_declared_and_the_padded_image():
    problem = Problem.parse("grad_input_n2c3h11w12_k4r3s3_stride2x2_pad1-0x2-1_out4x5")
    assert narrowed(problem, Capabilities(dtypes=BOTH)) == problem
    symmetric = narrowed(problem, Capabilities(dtypes=BOTH, asymmetric_padding=False))
    assert symmetric == problem.replace(padding=((1, 1), (2, 2)))
    bare = narrowed(problem, Capabilities(dtypes=BOTH, padding=False, stride=False))
    assert bare == Problem.parse("grad_input_n2c3h12w15_k4r3s3_out4x5")


def test_quick_is_on_the_subjects_device():
    found = quick(declaring(devices=("cpu", "cuda")), "cuda")
    assert {problem.device for problem in found} == {"cuda"}


def test_there_is_no_other_level(toy):
    with pytest.raises(ValueError, match="level is 'quik'; it must be one of 'quick', 'full'"):
        levels.problems("quik", Subject(toy, "cpu"))
