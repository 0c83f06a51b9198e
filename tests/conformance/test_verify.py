"""What a finding says: skips with their reasons, what is declared, processes that hang or die."""

from __future__ import annotations

import dataclasses
import os
import time
import types

import pytest
from conformance.broken import FAULTS
from support.toy_backend import toy as toy_itself

import convhub
from convhub import plugins
from convhub.backend import hookimpl
from convhub.conformance.checks import threads as checks_threads
from convhub.conformance.problems.cases import EDGES
from convhub.conformance.verify import Finding, run_check, verify
from convhub.problem import Problem

PROBLEM = EDGES["every parameter at once"]


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


def test_a_failure_has_its_ratio_and_says_what_must_be(register):
    name = register(FAULTS["a_few_bits_lost"].backend("forward"))
    found = run_check("random data", Problem.parse(f"forward_float64_{PROBLEM}"), name)
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
    outcomes = {finding.check: finding.outcome for finding in plain}
    # This problem has no long sums, nothing complex, no ends that are checked, operands of two shapes, and
    # windows that take little memory.
    elsewhere = ("long sums", "complex overflow", "ends of range", "one array twice", "workspace limit")
    assert {outcomes.pop(name) for name in elsewhere} == {"skipped"}
    assert set(outcomes.values()) == {"passed"}


def test_a_backend_without_gradients_is_skipped_where_these_are_needed(register):
    name = register(dataclasses.replace(toy_itself, name="half", grad_input=None, grad_weight=None))
    found = {f.check: f for f in verify(Problem.parse("forward_n1c2h5w5_k2r3s3"), name)}
    assert found["adjoint"].outcome == "skipped"
    assert found["adjoint"].detail == "needs grad_input as well: has no grad_input; it offers forward"
    assert found["random data"].outcome == "passed"


def test_declared_nondeterminism_is_no_failure(register):
    shuffled = FAULTS["order_of_sums_changes"].backend("forward")
    problem = Problem.parse("forward_float32_n1c40h9w9_k3r3s3")
    failed = {f.check for f in verify(problem, register(shuffled)) if f.outcome == "failed"}
    assert {"no stale state", "every element"} <= failed
    declared = dataclasses.replace(shuffled.capabilities, deterministic=False)
    name = register(dataclasses.replace(shuffled, name="shuffled", capabilities=declared))
    assert [f for f in verify(problem, name) if f.outcome == "failed"] == []


@pytest.mark.parametrize(
    ("fault", "check", "advice"),
    [
        ("scratch_shared_by_callers", "many callers", "calls share what each must have for itself"),
        (
            "order_of_sums_changes",
            "no stale state",
            "adds in another order every time declares deterministic=False",
        ),
    ],
)
def test_the_advice_fits_what_is_wrong(register, fault, check, advice):
    name = register(FAULTS[fault].backend("forward"))
    found = run_check(check, Problem.parse("forward_float32_n1c40h9w9_k3r3s3"), name)
    assert found.outcome == "failed"
    assert ("deterministic" in found.detail) == ("deterministic" in advice)
    assert advice in found.detail


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
        verify(Problem.parse("forward_n1c1h3w3_k1r1s1"), "numpy")


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
