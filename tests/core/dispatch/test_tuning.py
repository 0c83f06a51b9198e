from __future__ import annotations

import contextlib
import sqlite3
import time
import types

import numpy as np
import pytest
from support import toy_backend

import convhub
from convhub import Problem, config, plugins
from convhub.backend import Backend, Capabilities, hookimpl
from convhub.dispatch import tuning, tuning_store
from convhub.dispatch.choose import choose
from convhub.dispatch.request import make_request

X, W = np.ones((1, 1, 6, 6)), np.ones((1, 1, 3, 3))


@pytest.fixture
def two(monkeypatch):
    """Register a quick backend and one that is preferred but slow, and turn tuning on."""
    calls = []

    def slow(x, w, bias, problem, options):
        calls.append("slow")
        time.sleep(0.02)
        return toy_backend.forward(x, w, bias, problem, options)

    def quick(x, w, bias, problem, options):
        calls.append("quick")
        return toy_backend.forward(x, w, bias, problem, options)

    capabilities = Capabilities(dtypes=("float64",))
    backends = [
        Backend("slow", capabilities, slow, preference={"cpu": 200}),
        Backend("quick", capabilities, quick, preference={"cpu": 100}),
    ]
    plugins.register(types.SimpleNamespace(convhub_backends=hookimpl(lambda: backends)), "two")
    monkeypatch.setenv("CONVHUB_PRIORITY", "slow,quick")
    monkeypatch.setenv("CONVHUB_TUNE", "1")
    tuning_store.database_path().unlink(missing_ok=True)
    monkeypatch.setattr(tuning_store, "_memory", {})
    monkeypatch.setattr(tuning_store, "_unused_until", 0.0)  # which another test may have put off
    yield calls
    plugins.unregister("two")


def explained():
    (part,) = convhub.explain(convhub.conv2d, X, W).parts
    return part.backend, part.source


def chosen():
    """Return what a call runs on, and why, after a call."""
    convhub.conv2d(X, W)
    return explained()


def test_the_fastest_is_measured_once_and_kept_for_later_processes(two):
    assert chosen() == ("quick", "tuned")
    assert two.count("slow") >= 2
    two.clear()
    config.reload()  # as a new process would begin
    tuning_store._memory.clear()
    assert explained() == ("quick", "tuned")
    assert two == []
    with contextlib.closing(sqlite3.connect(tuning_store.database_path())) as file:
        (row,) = file.execute("SELECT problem, backend FROM choice").fetchall()
    assert row == ("forward_float64_n1c1h6w6_k1r3s3", "quick")


def test_a_hopeless_candidate_is_not_run_in_full(monkeypatch):
    """Loops in Python take half a minute over this problem."""
    monkeypatch.setenv("CONVHUB_TUNE", "1")
    monkeypatch.setenv("CONVHUB_PRIORITY", "numpy,naive")
    start = time.perf_counter()
    choice = choose(Problem.parse("forward_float32_n4c16h41w42_k16r3s3"), make_request(None))
    assert (choice.backend.name, choice.source) == ("numpy", "tuned")
    assert time.perf_counter() - start < 10


def test_candidates_that_fail_or_lie_are_left_out(monkeypatch, caplog):
    def fails(*_):
        raise MemoryError("no pebbles")

    capabilities = Capabilities(dtypes=("float64",))
    backends = [Backend("failing", capabilities, fails), Backend("lying", capabilities, lambda *_: None)]
    plugins.register(types.SimpleNamespace(convhub_backends=hookimpl(lambda: backends)), "bad")
    monkeypatch.setenv("CONVHUB_TUNE", "1")
    try:
        monkeypatch.setenv("CONVHUB_PRIORITY", "failing,lying,numpy")
        assert convhub.conv2d(X, W)[0, 0, 0, 0] == 9
        assert chosen() == ("numpy", "tuned")
        assert "failing is left out of tuning" in caplog.text
        assert "lying is left out of tuning" in caplog.text
        monkeypatch.setenv("CONVHUB_PRIORITY", "failing,lying")
        with pytest.raises(convhub.UnsupportedProblemError, match="tuning found no backend"):
            convhub.conv2d(X, W)
    finally:
        plugins.unregister("bad")


def test_explain_measures_nothing_and_makes_no_file(two):
    explanation = convhub.explain(convhub.conv2d, X, W)
    (part,) = explanation.parts
    assert (explanation.backend, part.source, part.refusal) == ("", "", "")
    assert part.to_measure == ("slow", "quick")
    assert two == []
    assert not tuning_store.database_path().exists()
    assert "would be measured first, since tune is on, on slow, quick" in str(explanation)
    assert "slow:  would be measured; the fastest runs it" in str(explanation)
    assert chosen() == ("quick", "tuned")
    two.clear()
    assert explained() == ("quick", "tuned")
    assert two == []


def test_without_tuning_the_order_decides(two, monkeypatch):
    monkeypatch.setenv("CONVHUB_TUNE", "0")
    assert explained()[0] == "slow"
    assert two == []


def test_other_circumstances_are_measured_anew(two, monkeypatch):
    chosen()
    two.clear()
    monkeypatch.setenv("CONVHUB_THREADS", "5")
    assert chosen() == ("quick", "tuned")
    assert two


@pytest.mark.parametrize(
    "text",
    [
        "forward_int32_n2c1h3w4_k1r1s2",
        "grad_input_complex64_n2c1h3w4_k1r1s2",
        "grad_weight_float16_n2c1h3w4_k1r1s2",
    ],
)
def test_random_operands_fit_their_problem(text):
    problem = convhub.Problem.parse(text)
    first, second, *bias = tuning.random_operands(problem)
    assert first.dtype.name == second.dtype.name == problem.dtype
    assert first.shape == (problem.input_shape if problem.primitive == "forward" else problem.output_shape)
    assert second.shape == (
        problem.input_shape if problem.primitive == "grad_weight" else problem.weight_shape
    )
    assert bias == ([] if problem.primitive == "grad_weight" else [None])
