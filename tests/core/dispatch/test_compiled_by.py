"""A backend that compiles ahead, or measures it, is asked by its own options, and blamed for its faults."""

from __future__ import annotations

import pytest

import convhub
from convhub.backend import Backend, Capabilities, HelperProfile, KernelProfile, RunOptions
from convhub.dispatch.queries import compiled_by, profiled_by
from convhub.plugins import Origin, RegisteredBackend
from convhub.problem import Problem

PROBLEM, OPTIONS = Problem.parse("n1c1h4w4_k1r3s3"), RunOptions(threads=3)


def registered(function, field="compile"):
    backend = Backend("mine", Capabilities(dtypes=("float32",)), **{field: function})
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


def test_a_profile_is_of_kernels_in_any_iterable():
    kernels = [
        KernelProfile(name="add", seconds=1, phases={"parse": 0.5}, sizes={"code KB": 3}),
        KernelProfile(name="sum", seconds=0.5, helpers=(HelperProfile(name="pack", compiled=1, linked=2),)),
    ]
    seen = []

    def profiles(*given):
        seen.append(given)
        yield from kernels

    assert profiled_by(registered(profiles, "compile_profile"), PROBLEM, OPTIONS) == tuple(kernels)
    assert seen == [(PROBLEM, OPTIONS)]
    assert profiled_by(registered(None), PROBLEM, OPTIONS) is None


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "add",
        KernelProfile(name=3, seconds=1.0),
        KernelProfile(name="add", seconds="1.0"),
        KernelProfile(name="add", seconds=1.0, phases={"parse": None}),
        KernelProfile(name="add", seconds=1.0, sizes=[("lines", 3)]),
        KernelProfile(name="add", seconds=1.0, helpers=[]),
        KernelProfile(name="add", seconds=1.0, helpers=("pack",)),
        KernelProfile(name="add", seconds=1.0, helpers=(HelperProfile(name="pack", linked="2"),)),
        KernelProfile(name="add", seconds=1.0, helpers=(HelperProfile(name="pack", seconds=True),)),
    ],
)
def test_each_kernel_must_be_a_profile_of_the_declared_types(wrong):
    right = KernelProfile(name="add", seconds=1.0)
    with pytest.raises(
        convhub.BackendContractError,
        match=r"'mine' \(.*convhub-mine 1.2\) compiled .*it must be a convhub.backend.KernelProfile",
    ):
        profiled_by(registered(lambda *_: [right, wrong], "compile_profile"), PROBLEM, OPTIONS)


def test_a_profile_that_fails_names_its_backend():
    def fails(problem, options):
        yield KernelProfile(name="add", seconds=1.0)
        raise KeyError("x")

    with pytest.raises(convhub.BackendFailedError, match="'mine' .* could not compile .*KeyError: 'x'"):
        profiled_by(registered(fails, "compile_profile"), PROBLEM, OPTIONS)
    with pytest.raises(convhub.BackendFailedError, match="'mine' .* could not compile .*TypeError"):
        profiled_by(registered(lambda *_: None, "compile_profile"), PROBLEM, OPTIONS)
