"""Whether the Numba engine says that it cannot run, why, and what would help."""

import builtins
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

import convhub

pytest.importorskip("numba", reason="the engine under test is made of Numba")

import numba
from convhub_numba.runtime.availability import availability
from convhub_numba.runtime.threads import usable_threads

module = sys.modules["convhub_numba.runtime.availability"]  # the package has the function under that name


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Nothing is set, and Numba is imported when it is asked for."""
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    module._imported.cache_clear()
    yield
    module._imported.cache_clear()


def run(code, **environment):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_numba_is_available_here():
    assert availability() is True


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("NUMBA_DISABLE_JIT", "1", "NUMBA_DISABLE_JIT is '1', so that Numba compiles nothing; unset it"),
        ("NUMBA_NUM_THREADS", "x", "NUMBA_NUM_THREADS is 'x' in the environment; it must be a whole number"),
    ],
)
def test_a_default_call_goes_to_another_backend_and_a_named_one_says_why(variable, value, reason):
    code = (
        "import numpy as np, convhub\n"
        "x, w = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))\n"
        "assert convhub.conv2d(x, w).sum() == 16\n"
        "try:\n    convhub.conv2d(x, w, backend='numba')\n"
        "except convhub.BackendUnavailableError as error:\n    print(error)\n"
    )
    assert reason in run(code, **{variable: value})


def test_a_setting_of_numba_that_forbids_compiling(monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert availability().startswith("numba.config.DISABLE_JIT is set, so that Numba compiles nothing")


@pytest.mark.parametrize("value", ["x", "1.5", "0", "-2", " ", "2 threads"])
def test_a_number_of_threads_that_is_none(monkeypatch, value):
    monkeypatch.setenv("NUMBA_NUM_THREADS", value)
    wanted = f"NUMBA_NUM_THREADS is {value!r} in the environment; it must be a whole number, 1 or more"
    assert availability() == wanted
    with pytest.raises(convhub.ConfigurationError) as caught:  # where it is set after the question
        usable_threads(2)
    assert str(caught.value) == wanted


@pytest.mark.parametrize(("value", "threads"), [("", 4), ("1", 1), (" 3 ", 3), ("64", 4)])
def test_a_number_of_threads(monkeypatch, value, threads):
    monkeypatch.setenv("NUMBA_NUM_THREADS", value)
    assert availability() is True
    assert usable_threads(4) == threads


@pytest.mark.parametrize(
    "error",
    [
        ImportError("Numba needs NumPy 2.5 or less. Got NumPy 2.6."),
        ModuleNotFoundError("No module named 'llvmlite'"),
        OSError("Could not find/load shared object file 'libllvmlite.so'"),
        AttributeError("'list' object has no attribute 'items'"),  # of a .numba_config.yaml
    ],
    ids=lambda error: type(error).__name__,
)
def test_numba_cannot_be_imported(monkeypatch, error):
    real = builtins.__import__

    def importing(name, *rest):
        if name == "numba":
            raise error
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", importing)
    said = (
        f"numba is installed, but cannot be imported: {type(error).__name__}: {error}; pip install --upgrade "
    )
    assert availability() == said + "'convhub[numba]' may help"


def test_numba_is_not_installed(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    assert availability() == "numba is not installed: pip install 'convhub[numba]'"


def test_an_old_numba(monkeypatch):
    old = SimpleNamespace(version_info=SimpleNamespace(short=(0, 61)), config=numba.config)
    monkeypatch.setattr(module, "_imported", lambda: old)
    monkeypatch.setattr(module._imported, "cache_clear", lambda: None, raising=False)
    assert (
        availability() == "numba is 0.61, and 0.68 or later is needed: pip install --upgrade 'convhub[numba]'"
    )


def test_the_least_version_is_that_of_the_extra():
    text = (Path(__file__).parents[4] / "pyproject.toml").read_text(encoding="utf-8")
    extra = tomllib.loads(text)["project"]["optional-dependencies"]["numba"]
    assert f"numba>={'.'.join(map(str, module.LEAST_VERSION))}" in extra
