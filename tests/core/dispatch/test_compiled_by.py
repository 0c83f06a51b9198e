"""A backend that compiles ahead is asked by its own options, and blamed for what it does wrong."""

from __future__ import annotations

import pytest

import convhub
from convhub.backend import Backend, Capabilities, RunOptions
from convhub.dispatch.queries import compiled_by
from convhub.plugins import Origin, RegisteredBackend
from convhub.problem import Problem

PROBLEM, OPTIONS = Problem.parse("n1c1h4w4_k1r3s3"), RunOptions(threads=3)


def registered(function):
    backend = Backend("mine", Capabilities(dtypes=("float32",)), compile=function)
    return RegisteredBackend(backend, Origin("mine", "convhub-mine", "1.2"))


def test_it_gets_the_problem_and_the_options():
    seen = []

    def compiles(*given):
        seen.append(given)
        return 2

    assert compiled_by(registered(compiles), PROBLEM, OPTIONS) == 2
    assert seen == [(PROBLEM, OPTIONS)]


def test_most_backends_compile_nothing_ahead():
    assert compiled_by(registered(None), PROBLEM, OPTIONS) is None


@pytest.mark.parametrize("answer", [None, -1, True, 1.0, "2"])
def test_it_must_give_a_number_of_kernels(answer):
    with pytest.raises(
        convhub.BackendContractError, match=r"'mine' \(.*convhub-mine 1.2\) compiled .* and gave"
    ):
        compiled_by(registered(lambda *_: answer), PROBLEM, OPTIONS)


def test_its_error_names_it():
    with pytest.raises(convhub.BackendFailedError, match="'mine' .* could not compile .*KeyError: 'x'"):
        compiled_by(registered(lambda *_: {}["x"]), PROBLEM, OPTIONS)


def test_convhubs_own_error_comes_through():
    def fails(problem, options):
        raise convhub.ConfigurationError("no folder")

    with pytest.raises(convhub.ConfigurationError, match="^no folder$"):
        compiled_by(registered(fails), PROBLEM, OPTIONS)
