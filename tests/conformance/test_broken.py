"""The suite must be able to fail: each fault is found at level quick, by the checks that are there for it."""

from __future__ import annotations

import numpy as np
import pytest
from conformance import broken
from conformance.broken import FAULTS, page, record

from convhub.conformance.verify import CHECKS, run_check
from convhub.problem import Problem

CAUGHT = record.read()
VARIANTS = broken.variants(FAULTS)
#: Each check that must find a fault, with the problem on which it does.
DEMANDED = {
    (check, caught.problem)
    for name, by_primitive in CAUGHT.items()
    for caught in by_primitive.values()
    for check in FAULTS[name].checks
}


#: How often a race may be tried, which other work on the machine can decide.
ATTEMPTS = 5


@pytest.fixture(scope="module", autouse=True)
def _faults():
    broken.register()
    yield
    broken.unregister()


@pytest.mark.parametrize(
    ("fault", "primitive"),
    VARIANTS,
    ids=[f"{fault.backend_name(primitive)}: {', '.join(fault.checks)}" for fault, primitive in VARIANTS],
)
def test_each_fault_is_found(fault, primitive):
    problem = Problem.parse(CAUGHT[fault.name][primitive].problem)
    assert problem.primitive == primitive
    assert problem in record.quick()
    found: set[str] = set()
    for _ in range(ATTEMPTS):
        found |= set(record.failed(fault, primitive, problem, fault.checks))
        if found == set(fault.checks):
            return
    pytest.fail(f"{fault.backend_name(primitive)} passed {set(fault.checks) - found} on {problem}")


def test_none_is_found_where_there_is_none():
    right = broken.right_backend.name
    found = [run_check(check, Problem.parse(problem), right) for check, problem in sorted(DEMANDED)]
    assert [f for f in found if f.outcome != "passed"] == []


def test_there_are_many_faults_of_many_kinds():
    assert len(FAULTS) >= 40
    assert len(VARIANTS) > 1.5 * len(FAULTS)
    kinds = {kind.__name__.rpartition(".")[2] for kind in broken.KINDS}
    assert {fault.kind for fault in FAULTS.values()} == kinds - {"tolerated"}


def test_every_check_must_find_some_fault():
    assert set().union(*(fault.checks for fault in FAULTS.values())) == set(CHECKS)


def test_every_check_is_the_first_to_find_some_fault_or_has_another_purpose():
    found = [caught.checks for by_primitive in CAUGHT.values() for caught in by_primitive.values()]
    first = {page.first_finder(checks) for checks in found}
    assert first.isdisjoint(page.PURPOSES)
    assert first | set(page.PURPOSES) == set(CHECKS)


def test_the_record_and_the_page_are_of_these_faults():
    assert [(name, tuple(by_primitive)) for name, by_primitive in CAUGHT.items()] == [
        (fault.name, fault.primitives) for fault in FAULTS.values()
    ]
    renew = "PYTHONPATH=tests .venv/bin/python -m conformance.broken.record"
    assert page.PATH.read_text(encoding="utf-8") == page.render(CAUGHT), f"run {renew}"


def test_each_broken_backend_remembers_for_itself():
    fault = FAULTS["second_call_wrong"]
    one, other = fault.backend("forward"), fault.backend("forward")
    problem = Problem.parse("forward_float64_n1c1h1w1_k1r1s1")
    given = np.ones((1, 1, 1, 1))
    values = [float(b.forward(given, given, None, problem, None).item()) for b in (one, one, other, one)]
    assert values == [1, 2, 1, 1]
