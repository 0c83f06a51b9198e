"""Whatever a backend raises, a check does not pass, is not skipped, and does not end the run."""

from __future__ import annotations

import dataclasses
import types

import numpy as np
import pytest
from support import toy_backend

from convhub import plugins
from convhub.backend import hookimpl
from convhub.cli.conformance_run import _agreeing
from convhub.conformance.report.findings import build_report
from convhub.conformance.subjects import Subject
from convhub.conformance.verify import run_check
from convhub.conformance.whole import check_whole
from convhub.problem import Problem

PROBLEM = Problem.parse("forward_float32_n1c2h5w5_k2r3s3")


class Unusual(BaseException):
    """No `Exception`."""


RAISED = [
    Unusual("x"),
    SystemExit(0),
    GeneratorExit(),
    pytest.skip.Exception("x"),
    pytest.xfail.Exception("x"),
]


@pytest.fixture
def register():
    """Return the function that registers the toy backend with some changes."""

    def register_(**changes):
        backend = dataclasses.replace(toy_backend.toy, name="raising", **changes)
        plugins.register(types.SimpleNamespace(convhub_backends=hookimpl(lambda: [backend])), "raising")

    yield register_
    plugins.unregister("raising")


def raising(error):
    """Return a function that raises."""

    def function(*given):
        raise error

    return function


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_whatever_a_call_raises_is_a_failed_check(register, error):
    register(forward=raising(error))
    finding = run_check("random data", PROBLEM, "raising")
    assert finding.outcome == "failed"
    assert type(error).__name__ in finding.detail


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_whatever_supports_raises_is_a_failed_check(register, error):
    register(supports=raising(error))
    finding = check_whole("answers", Subject("raising", "cpu"))
    assert finding.outcome == "failed"
    assert type(error).__name__ in finding.detail


@pytest.mark.parametrize(
    ("check", "changes", "words"),
    [
        (
            "takes what it declares",
            {"supports": lambda problem: f"not {problem}"},
            "no problem of those that its capabilities declare is taken",
        ),
        ("answers", {"supports": lambda problem: np.True_}, "it must be True or a reason"),
        ("answers", {"supports": lambda problem: [True]}, "it must be True or a reason"),
        ("answers", {"accuracy": lambda problem, options: "perfect"}, "gave 'perfect'; it must be"),
        ("answers", {"accuracy": lambda problem, options: ["normwise"]}, "gave ['normwise']; it must be"),
    ],
)
def test_nonsense_answers_fail(register, check, changes, words):
    register(**changes)
    finding = check_whole(check, Subject("raising", "cpu"))
    assert finding.outcome == "failed"
    assert words in finding.detail


@pytest.mark.parametrize("name", ["naive", "numpy"])
def test_a_right_backend_takes_what_it_declares(name):
    assert check_whole("takes what it declares", Subject(name, "cpu")).outcome == "passed"


def test_a_report_agrees_with_the_exit_status_of_pytest(tmp_path):
    log = tmp_path / "log"
    log.write_text("32 failed\n")
    good = build_report([], [], 0.0)
    assert _agreeing(good, 0, log) == good
    assert _agreeing(good, 1, log).failed
    assert "32 failed" in _agreeing(good, 1, log).errors[0]
