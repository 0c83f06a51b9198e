"""A result that another backend computed is a failure, however it came about."""

from __future__ import annotations

import dataclasses
import os
import types

import numpy as np
import pytest
from support import toy_backend

import convhub
from convhub import plugins
from convhub.backend import hookimpl
from convhub.conformance.report.xfails import Xfails
from convhub.conformance.subjects import Subject
from convhub.conformance.suite import cases_of
from convhub.conformance.verify import run_check, verify
from convhub.conformance.whole import check_whole
from convhub.dispatch.execute import internal_observers
from convhub.problem import Problem

PROBLEM = Problem.parse("forward_n1c2h5w5_k2r3s3")
CHECKS = ["random data", "many callers", "public functions"]


@pytest.fixture
def register():
    """Return the function that registers a backend, and hooks beside it, until the test ends."""

    def register_(backend, **hooks):
        hooks["convhub_backends"] = lambda: [backend]
        plugins.register(types.SimpleNamespace(**{n: hookimpl(f) for n, f in hooks.items()}), "sly_plugin")
        return backend.name

    yield register_
    plugins.unregister("sly_plugin")


def sly(**changes):
    return dataclasses.replace(toy_backend.toy, name="sly", **changes)


def failures(name, checks=CHECKS):
    found = {f.check: f.detail for f in verify(PROBLEM, name, checks=checks) if f.outcome == "failed"}
    assert internal_observers == []
    return found


def test_fallback_that_comes_on_in_the_middle_of_a_check(register, monkeypatch):
    """It computes once, and from then on lets another do it."""
    monkeypatch.setenv("CONVHUB_PRIORITY", "numpy")
    monkeypatch.setenv("CONVHUB_FALLBACK", "0")

    def forward(*operands):
        os.environ["CONVHUB_FALLBACK"] = "1"
        return toy_backend.forward(*operands)

    def supports(problem):
        return os.environ["CONVHUB_FALLBACK"] == "0" or "not any more"

    name = register(sly(forward=forward, supports=supports))
    with pytest.warns(RuntimeWarning, match="not any more; 'numpy' runs it, since fallback is on"):
        found = run_check("no stale state", PROBLEM, name)
    assert found.outcome == "failed"
    assert found.detail == (
        f"{PROBLEM} was computed by 'numpy', by fallback from sly; 'sly' must compute it, or decline it"
    )


def test_fallback_that_is_on_is_refused_by_each_check(register, monkeypatch):
    name = register(sly())
    monkeypatch.setenv("CONVHUB_FALLBACK", "1")
    for call in (
        lambda: verify(PROBLEM, name),
        lambda: run_check("random data", PROBLEM, name),
        lambda: check_whole("answers", Subject(name, "cpu")),
    ):
        with pytest.raises(convhub.ConfigurationError, match="fallback is true"):
            call()


def test_a_backend_that_hands_its_problem_on(register):
    def forward(x, w, bias, problem, options):
        return convhub.conv2d(x, w, bias, backend="numpy")

    found = failures(register(sly(forward=forward)))
    assert set(found) == set(CHECKS)
    # Some check makes a larger problem of it.
    assert {text.partition(" was ")[2] for text in found.values()} == {
        "computed by 'numpy', by argument; 'sly' must compute it, or decline it"
    }


def test_a_hook_that_chooses_another_is_asked_only_by_those_who_name_none(register, monkeypatch):
    chosen = []

    def choose(problem, candidates):
        chosen.append(problem)
        return "naive"

    monkeypatch.setenv("CONVHUB_PRIORITY", "numpy,naive")
    name = register(sly(), convhub_choose=choose)
    assert failures(name) == {}
    assert chosen == []

    def forward(x, w, bias, problem, options):
        return convhub.conv2d(x, w, bias)

    plugins.unregister("sly_plugin")
    name = register(sly(forward=forward), convhub_choose=choose)
    found = failures(name)
    assert set(found) == set(CHECKS)
    assert chosen
    assert all("was computed by 'naive', by plugin " in detail for detail in found.values())


def test_gradients_by_another_are_a_failure_too(register):
    pytest.importorskip("torch")

    def grad_weight(dy, x, problem, options):
        return convhub.conv2d_backward(
            dy,
            x,
            np.zeros(problem.weight_shape, x.dtype),
            problem.stride,
            problem.padding,
            problem.dilation,
            problem.groups,
            output_mask=(False, True, False),
            backend="numpy",
        ).weight

    found = check_whole("gradients", Subject(register(sly(grad_weight=grad_weight)), "cpu"))
    assert found.outcome == "failed"
    assert "was computed by 'numpy', by argument" in found.detail


def test_the_suite_turns_fallback_off_while_a_test_of_it_runs(register, monkeypatch):
    monkeypatch.setenv("CONVHUB_FALLBACK", "1")
    name = register(sly(grad_weight=None))
    cases = cases_of(Subject(name, "cpu"), "quick", 0, Xfails())
    first = next(case for case in cases if case.problem is not None and case.problem.primitive == "forward")
    first()
    assert {row.outcome for row in first.done.rows} <= {"passed", "skipped"}
    declined = next(case for case in cases if case.problem and case.problem.primitive == "grad_weight")
    with pytest.raises(pytest.skip.Exception, match="has no grad_weight"):
        declined()
    assert [row.outcome for row in declined.done.rows] == ["declined"]
    assert os.environ["CONVHUB_FALLBACK"] == "1"
