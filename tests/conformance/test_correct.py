"""No false alarms: backends that are right pass, however built, and so does what only looks like a fault.

Every check on every one of them takes minutes: ``conformance.broken.record`` does it. Here each has the
checks of numbers on every quick problem, and the others on some.
"""

from __future__ import annotations

import numpy as np
import pytest
from conformance import broken, correct
from conformance.broken import TOLERATED

from convhub import plugins
from convhub.conformance import levels
from convhub.conformance.calls import refused
from convhub.conformance.problems.cases import EDGES
from convhub.conformance.subjects import SLOW_LIMIT, Subject
from convhub.conformance.verify import verify
from convhub.problem import Problem
from convhub.reference.bounds import LONG

#: The checks that another way to add up might fail. Those of memory and threads say nothing of that.
OF_NUMBERS = ("random data", "positive data", "exact integers", "nonfinite")
#: Ordinary problems have more checks than this.
FEW = 12
#: Above this, one backend for each problem.
LARGE = 10**6


@pytest.fixture(scope="module", autouse=True)
def _backends():
    plugins.register(correct, "correct")
    broken.register()
    yield
    broken.unregister()
    plugins.unregister("correct")


@pytest.mark.parametrize("problem", correct.quick(), ids=str)
def test_right_backends_pass_what_is_quick(problem):
    # Backends follow each other on one problem, since they share what the oracle says of it, and take turns.
    names = correct.quick()[problem]
    turn = list(correct.quick()).index(problem) % len(names)
    alarms = []
    for name in [names[turn]] if problem.macs > LARGE else names:
        everything = name == names[turn] and problem.macs <= LARGE
        checks = correct.planned_of(name)[problem] if everything else OF_NUMBERS
        alarms += verify(problem, name, checks=checks)
    assert [finding for finding in alarms if finding.outcome == "failed"] == []


@pytest.mark.parametrize("name", correct.BACKENDS)
def test_right_backends_pass_checks_that_have_problems_of_their_own(name):
    """Each has a part of the layers, and of the problems of each kind, so that together they have all."""
    turn = list(correct.BACKENDS).index(name)
    everything = correct.planned_of(name).items()
    chosen = [item for item in everything if len(item[1]) < FEW and item[0].terms < LONG]
    chosen = chosen[turn :: len(correct.BACKENDS)]
    found = [finding for problem, checks in chosen for finding in verify(problem, name, checks=checks)]
    assert [finding for finding in found if finding.outcome == "failed"] == []
    assert len(found) > 100


@pytest.mark.parametrize("name", correct.BACKENDS)
def test_right_backends_pass_some_of_the_full_level(name):
    problems = [p for p in levels.problems("full", Subject(name, "cpu")) if p not in correct.quick()]
    problems = [p for p in problems if p.terms < LONG and refused(name, p) is None]
    small = [p for p in problems if p.macs <= 10**5]
    # One in fifteen, another for each backend; more of a backend that takes few.
    step = min(15, max(1, len(small) // 10))
    chosen = small[list(correct.BACKENDS).index(name) % step :: step]
    found = [finding for problem in chosen for finding in verify(problem, name, checks=OF_NUMBERS)]
    assert [finding for finding in found if finding.outcome == "failed"] == []
    assert sum(finding.outcome == "passed" for finding in found) > 20


@pytest.mark.parametrize("name", ["naive", "torch"])
def test_loops_and_torch_pass_in_the_types_that_only_quick_crosses_with_all(name):
    """All else of level quick, they have at level full."""
    subject = Subject(name, "cpu")
    problems = set(levels.problems("quick", subject)) - set(levels.problems("full", subject))
    chosen = [p for p in problems if p.macs <= SLOW_LIMIT and p.dtype not in ("float32", "float64")]
    found = [
        f for p in chosen for f in verify(p, name, checks=("random data", "exact integers", "nonfinite"))
    ]
    assert [finding for finding in found if finding.outcome == "failed"] == []
    assert len({finding.problem.dtype for finding in found}) >= 4


@pytest.mark.parametrize(
    ("tolerated", "primitive"), broken.variants(TOLERATED), ids=lambda value: getattr(value, "name", value)
)
def test_what_only_looks_like_a_fault_passes(tolerated, primitive):
    dtype = {"unsigned_read_as_signed": "uint8", "float64_rounded_twice": "float16"}.get(tolerated.name)
    texts = [EDGES["every parameter at once"], EDGES["pointwise"]]
    problems = [Problem.parse(f"{primitive}_{dtype or 'float32'}_{text}") for text in texts]
    name = tolerated.backend_name(primitive)
    found = [finding for problem in problems for finding in verify(problem, name)]
    assert [finding for finding in found if finding.outcome == "failed"] == []


def test_what_is_tolerated_is_not_the_same_as_what_is_right():
    """Were the functions never reached, they would pass too."""
    problem = Problem.parse("forward_float32_n1c1h1w1_k1r1s1")
    zeros = (
        broken.TOLERATED["zeros_negative"]
        .backend("forward")
        .forward(*(np.zeros((1, 1, 1, 1), "f4"),) * 2, None, problem, None)
    )
    assert np.signbit(zeros).all()
