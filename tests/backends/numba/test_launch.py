"""Every argument of every launch is of the type beside it, for which the kernel is compiled."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from convhub_numba import backend, engine, launch, planner
from numba import types
from numba.np.numpy_support import from_dtype
from support.guarded_cases import DTYPES, one_of_each
from support.guarded_run import operands_of

#: Every module that launches kernels.
MODULES = [module for name, module in sys.modules.items() if re.match(r"convhub_numba\b.*\blaunch$", name)]


def mistake_in(function, scratch, pairs):
    """Return what is wrong with the types and values of a launch, or None."""
    names = function.py_func.__code__.co_varnames[: function.py_func.__code__.co_argcount]
    parameters = names[2 + (names[2] == "watch") + scratch :]
    if len(pairs) != 2 * len(parameters):
        return f"{len(pairs) / 2} pairs for {len(parameters)} parameters"
    for name, kind, value in zip(parameters, pairs[::2], pairs[1::2], strict=True):
        if not is_of(kind, value):
            return f"{name} is {value!r}, which is not of {kind}"
    return None


def is_of(kind, value):
    """Say whether a value is of Numba's type: what a compiled kernel does not look at."""
    if isinstance(kind, types.Array):
        return (
            isinstance(value, np.ndarray)
            and value.ndim == kind.ndim
            and from_dtype(value.dtype).bitwidth == kind.dtype.bitwidth
            and isinstance(from_dtype(value.dtype), types.Float) == isinstance(kind.dtype, types.Float)
            and (kind.layout == "A" or value.flags.c_contiguous)
        )
    if isinstance(kind, types.NamedUniTuple):
        return type(value) is kind.instance_class and all(isinstance(each, int) for each in value)
    if isinstance(kind, types.Literal):
        return value == kind.literal_value
    return isinstance(value, bool) if kind is types.boolean else type(value) is int


@pytest.fixture
def mistakes(monkeypatch):
    """Check every launch, and give the list of what is wrong with some."""
    found = []

    def watch_launches(name, scratch):
        real = getattr(launch, name)

        def checked(function, prepared, *arguments):
            pairs = arguments[2 if name == "launch" else 1 :]
            wrong = mistake_in(function, scratch, pairs)
            if wrong is not None:
                found.append(f"{prepared.plan.algorithm}, {function.__module__}: {wrong}")
                return
            real(function, prepared, *arguments)

        for module in MODULES:
            if hasattr(module, name):
                monkeypatch.setattr(module, name, checked)

    watch_launches("launch", 2)
    watch_launches("launch_plain", 0)
    engine._known.clear()
    yield found
    engine._known.clear()


@pytest.mark.parametrize("dtype", DTYPES)
def test_types_and_values_agree(dtype, mistakes):
    chosen = one_of_each(dtype, 256)
    for (algorithm, _), case in chosen.items():
        operands = operands_of(case, np.random.default_rng(0))
        getattr(backend, case.problem.primitive)(*operands, case.problem, case.options)
        if algorithm == "winograd":  # whose kernels for what is not finite run only then
            operands[1][...] = np.inf
            getattr(backend, case.problem.primitive)(*operands, case.problem, case.options)
    assert not mistakes
    expected = {(a.name, primitive) for a in planner.ALGORITHMS for primitive in a.primitives}
    if dtype in ("float16", "bfloat16"):
        expected = {key for key in expected if key[0] != "winograd"}
    assert set(chosen) == expected


def test_every_module_that_launches_is_watched():
    assert {module.__name__.removeprefix("convhub_numba.") for module in MODULES} == {
        "launch",
        "algorithms.direct.launch",
        "algorithms.implicit_gemm.launch",
        "algorithms.winograd.launch",
    }


def test_a_mistake_is_found(mistakes, monkeypatch):
    real = launch.launch

    def swapped(function, prepared, stage, tasks, *pairs):
        real(function, prepared, stage, tasks, *pairs[:5], pairs[7], pairs[6], pairs[5], *pairs[8:])

    monkeypatch.setattr(launch, "launch", swapped)
    case = one_of_each("float32", 256)["gemm", "forward"]
    operands = operands_of(case, np.random.default_rng(0))
    getattr(backend, case.problem.primitive)(*operands, case.problem, case.options)
    assert mistakes
