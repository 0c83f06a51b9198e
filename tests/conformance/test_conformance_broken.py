"""The suite must be able to fail: each fault is found by the checks that are there for it."""

from __future__ import annotations

import dataclasses
import os
import time
import types

import broken_backends
import pytest
from broken_backends import FAULTS, PROBLEM
from toy_backend import toy as toy_itself

import convhub
from convhub import plugins
from convhub.backend import hookimpl
from convhub.conformance import checks_threads
from convhub.conformance.cases import edges
from convhub.conformance.verify import CHECKS, Finding, random_problems, run_check, verify
from convhub.problem import PRIMITIVES, Problem


@pytest.fixture(scope="module", autouse=True)
def _faults():
    plugins.register(broken_backends, "broken")
    yield
    plugins.unregister("broken")


@pytest.fixture
def register():
    """Return a function that registers one backend for a test."""
    names = []

    def register(backend):
        plugin = types.ModuleType(backend.name)
        plugin.convhub_backends = hookimpl(lambda: [backend])
        plugin.convhub_backends.__name__ = "convhub_backends"
        plugins.register(plugin, backend.name)
        names.append(backend.name)
        return backend.name

    yield register
    for name in names:
        plugins.unregister(name)


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found(name):
    broken = FAULTS[name]
    found = verify(Problem.parse(broken.problem), name)
    failed = {finding.check for finding in found if finding.outcome == "failed"}
    assert broken.checks <= failed, f"{name} passed {broken.checks - failed}"


def test_every_check_finds_some_fault():
    found = set().union(*(broken.checks for broken in FAULTS.values()))
    assert found == set(CHECKS)


def test_a_correct_backend_passes_everything(toy):
    problems = [*random_problems(15, seed=5), *edges(("float64", "complex64", "float32"))[::4]]
    problems += [Problem.parse(f"{p}_{t}_{PROBLEM}") for p in PRIMITIVES for t in ("int64", "complex128")]
    failed = [f for p in problems for f in verify(p, toy) if f.outcome == "failed"]
    assert failed == []


def test_a_failure_has_its_ratio_and_says_what_must_be():
    found = run_check("random data", Problem.parse(f"forward_float64_{PROBLEM}"), "a_few_bits_lost")
    assert found.outcome == "failed"
    assert found.ratio > 1
    assert "must be" in found.detail


def test_what_a_backend_declines_is_one_skip_with_its_reason(register):
    declared = dataclasses.replace(toy_itself.capabilities, groups=False, dtypes=("float32",))
    name = register(dataclasses.replace(toy_itself, name="dense", capabilities=declared))
    problem = Problem.parse("forward_n1c4h5w5_k4r3s3_groups2")
    assert verify(problem, name) == [
        Finding(name, problem, "every check", "skipped", None, "takes groups = 1 only, not 2")
    ]
    plain = verify(problem.replace(groups=1), name)
    assert {finding.outcome for finding in plain} == {"passed"}


def test_a_backend_without_gradients_is_skipped_where_these_are_needed(register):
    name = register(dataclasses.replace(toy_itself, name="half", grad_input=None, grad_weight=None))
    found = {f.check: f for f in verify(Problem.parse("forward_n1c2h5w5_k2r3s3"), name)}
    assert found["adjoint"].outcome == "skipped"
    assert found["adjoint"].detail == "needs grad_input as well: has no grad_input; it offers forward"
    assert found["random data"].outcome == "passed"


def test_undeclared_nondeterminism_is_a_failure_and_declared_is_none(register):
    function = FAULTS["order_of_sums_changes"].function
    declared = dataclasses.replace(toy_itself.capabilities, deterministic=False)
    name = register(dataclasses.replace(toy_itself, name="shuffled", forward=function, capabilities=declared))
    problem = Problem.parse(FAULTS["order_of_sums_changes"].problem)
    assert [f for f in verify(problem, name) if f.outcome == "failed"] == []


def test_the_normwise_class_has_the_wider_bound_and_is_not_exact(register):
    def transformed(x, w, bias, problem, options):
        y = toy_itself.forward(x, w, bias, problem, options)
        return y + abs(y).max() * 2e-7 if y.size else y

    componentwise = dataclasses.replace(toy_itself, name="claims-more", forward=transformed)
    declared = dataclasses.replace(toy_itself.capabilities, accuracy="normwise")
    normwise = dataclasses.replace(componentwise, name="claims-less", capabilities=declared)
    problem = Problem.parse("forward_n1c4h12w12_k4r3s3")
    strict = {f.check: f.outcome for f in verify(problem, register(componentwise))}
    assert strict["exact integers"] == "failed"
    relaxed = {f.check: f for f in verify(problem, register(normwise))}
    assert {f.outcome for f in relaxed.values()} == {"passed", "skipped"}
    assert relaxed["exact integers"].detail.startswith("declares the accuracy class normwise")


def test_fallback_is_refused(monkeypatch):
    monkeypatch.setenv("CONVHUB_FALLBACK", "on")
    with pytest.raises(convhub.ConfigurationError, match=r"fallback is true \(from environment CONVHUB_FALL"):
        verify(Problem.parse("forward_n1c1h3w3_k1r1s1"), "stale_scratch")


def test_a_backend_that_hangs_after_a_fork_is_found(register, monkeypatch):
    monkeypatch.setattr(checks_threads, "PATIENCE", 0.3)
    first = os.getpid()

    def hanging(x, w, bias, problem, options):
        if os.getpid() != first:
            time.sleep(60)
        return toy_itself.forward(x, w, bias, problem, options)

    name = register(dataclasses.replace(toy_itself, name="hanging", forward=hanging))
    found = run_check("after fork", Problem.parse("forward_n1c1h3w3_k1r1s1"), name)
    assert found.outcome == "failed"
    assert "did not return" in found.detail


def test_a_backend_that_dies_after_a_fork_is_found(register):
    first = os.getpid()

    def dying(x, w, bias, problem, options):
        if os.getpid() != first:
            os._exit(3)
        return toy_itself.forward(x, w, bias, problem, options)

    name = register(dataclasses.replace(toy_itself, name="dying", forward=dying))
    found = run_check("after fork", Problem.parse("forward_n1c1h3w3_k1r1s1"), name)
    assert found.detail == "in a forked process the call failed: the process ended with status 3"
