"""What the conformance suite reaches of the backend `cupy`, as the plugin *cupy-emulated* runs it."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("ml_dtypes", reason="bfloat16 is one of the types that the suite crosses")

from convhub_cupy.plan.plan import TENSOR_CORES, Settings
from convhub_cupy.planner import every_source, make_plan

from convhub import plugins
from convhub.backend import RunOptions
from convhub.conformance import levels
from convhub.conformance.subjects import Subject


@pytest.fixture
def emulated(monkeypatch):
    """Give the backend as `make test` gives it to the suite."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "gpu" / "emulated_cupy")
    import cupy_emulated

    yield cupy_emulated.convhub_backends()[0]
    del sys.modules["cupy_emulated"]


def suite_problems(backend):
    plugins.register(sys.modules["cupy_emulated"], "cupy-emulated")
    try:
        return levels.problems("full", Subject(backend.name, "cpu"))
    finally:
        plugins.unregister("cupy-emulated")


def launched(backend, options):
    """Return the file and name of each kernel that the suite's problems launch."""
    settings = Settings.of(RunOptions(backend=options), TENSOR_CORES)
    plans = [make_plan(problem, settings)[1] for problem in suite_problems(backend)]
    return {(launch.file, launch.name) for plan in plans for launch in plan.launches}


def test_the_suite_reaches_every_kernel(emulated):
    assert launched(emulated, emulated.options()) == {source[:2] for source in every_source()}


def test_winograd_is_reached_since_it_is_asked_for(emulated):
    """So that the test above can fail."""
    assert emulated.options() != emulated.options(winograd="auto")
    assert ("winograd.cu", "winograd") not in launched(emulated, emulated.options(winograd="auto"))


def test_the_suite_reaches_winograd_in_both_primitives(emulated):
    settings = Settings.of(RunOptions(backend=emulated.options()), TENSOR_CORES)
    planned = {problem: make_plan(problem, settings)[0].name for problem in suite_problems(emulated)}
    reached = {problem.primitive for problem, name in planned.items() if name == "winograd"}
    assert reached == {"forward", "grad_input"}
