"""What `import convhub` and a call cost, in processor time, so that a busy machine changes nothing."""

from __future__ import annotations

import ast
import contextlib
import importlib.metadata
import inspect
import pathlib
import re
import subprocess
import sys
import time
import timeit
import types

import numpy as np
import pytest

import convhub
from convhub import config, opaque, plugins
from convhub.backend import Backend, Capabilities, hookimpl
from convhub.dispatch import execute
from convhub.dispatch.choose import choose
from convhub.dispatch.request import BackendRequest

HEAVY = (
    "torch",
    "numba",
    "cupy",
    "dask",
    "typer",
    "rich",
    "matplotlib",
    "msgspec",
    "platformdirs",
    "hypothesis",
)


def fresh(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_nothing_heavy_is_imported():
    loaded = fresh("import sys, convhub; print(*sorted({m.partition('.')[0] for m in sys.modules}))").split()
    assert "convhub" in loaded
    assert not set(loaded) & set(HEAVY)
    assert not [name for name in loaded if name.startswith("convhub_")]


def test_a_numpy_call_imports_no_other_engine():
    code = (
        "import sys, numpy as np, convhub; convhub.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), "
        "backend='numpy'); print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    assert not set(fresh(code).split()) & {"torch", "numba", "cupy", "typer", "rich"}


def test_import_costs_at_most_100_ms_over_numpy():
    code = (
        "import time, numpy; start = time.process_time(); import convhub; print(time.process_time() - start)"
    )
    for _ in range(10):  # what else runs on the machine may slow all of one round
        shortest = min(float(fresh(code)) for _ in range(5))
        if shortest < 0.1:
            break
        time.sleep(0.5)
    assert shortest < 0.1


def test_a_tiny_convolution_through_numpy_costs_at_most_25_us_above_the_arithmetic():
    x, w = np.ones((1, 1, 4, 4), "f4"), np.ones((1, 1, 3, 3), "f4")
    problem = convhub.Problem("forward", 1, 1, 1, (4, 4), (3, 3))
    choice = choose(problem, BackendRequest("numpy", "argument"))
    columns, rows = np.ones((9, 4), "f4"), np.ones((2, 9), "f4")
    count = 500

    def best(call):
        return min(timeit.repeat(call, number=count, repeat=20, timer=time.thread_time)) / count * 1e6

    for _ in range(10):  # what else runs on the machine may slow all of one round
        whole = best(lambda: convhub.conv2d(x, w, backend="numpy"))
        arithmetic = best(lambda: rows @ columns)
        if whole - arithmetic < 25:
            break
        time.sleep(0.5)
    engine = best(lambda: choice.function(x, w, None, problem, choice.options))
    print(f"tiny convolution: {whole:.1f} us, engine {engine:.1f} us, product alone {arithmetic:.1f} us")
    assert whole - arithmetic < 25


def functions_called(call):
    """Return the names of all functions that a call makes, those in C and methods included."""
    names = []

    def note(frame, event, argument):
        if event == "call":
            names.append(frame.f_code.co_name)
        elif event == "c_call":
            names.append(argument.__name__)

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return names[1:-1]  # without the call itself, and the last `setprofile`


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"stride": (2, 1), "padding": [1, 0]},
        {"padding": ((0, 1), (1, 0)), "dilation": 1},
        {"padding": "same"},
    ],
    ids=str,
)
def test_a_call_like_one_before_is_not_checked_anew(parameters, monkeypatch):
    """Count what is called, since a time would hang on the machine; a call costs 20 to 100 ns."""
    # Where another test has imported torch's compiler, that is switched off around each call.
    monkeypatch.setattr(execute, "execute", inspect.unwrap(execute.execute))
    monkeypatch.setattr(opaque, "is_hidden", True)
    x, w, bias = np.ones((1, 1, 5, 4), "f4"), np.ones((1, 1, 3, 3), "f4"), np.ones(1, "f4")
    with plugins_with_a_quick_backend() as name, convhub.use_backend(name):

        def call():
            return convhub.conv2d(x, w, bias, **parameters)

        call()
        names = functions_called(call)
    checking = {
        "pair",
        "padding_sides",
        "group_count",
        "common_info",
        "array_info",
        "_infos",
        "make_dispatcher",
        "_load",
        "_decide",
        "may_share_memory",
    }
    assert not checking & set(names), names
    assert len(names) <= 45 + 8 * len(parameters), names


@contextlib.contextmanager
def plugins_with_a_quick_backend():
    """Register a backend that does nothing but return a new array."""
    capabilities = Capabilities(dtypes=("float32",))
    quick = Backend(
        "quick", capabilities, lambda x, w, b, problem, options: np.zeros((problem.result_shape), "f4")
    )
    plugins.register(types.SimpleNamespace(convhub_backends=hookimpl(lambda: [quick])), "quick")
    try:
        yield quick.name
    finally:
        plugins.unregister("quick")


def test_public_names_are_sorted_complete_and_documented():
    assert convhub.__all__ == sorted(convhub.__all__)
    tree = ast.parse(pathlib.Path(convhub.__file__).read_text())
    imported = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported | {"__version__"} == set(convhub.__all__)
    for name in convhub.__all__:
        assert getattr(convhub, name).__doc__, name


def test_the_error_tree_in_the_docstring_is_the_real_one():
    from convhub import errors

    drawn = re.findall(r"(\w+Error)", errors.__doc__.partition("::")[2].partition("A message")[0])
    drawn = [name for name in drawn if name in vars(errors)]
    assert sorted(drawn) == errors.__all__
    assert set(errors.__all__) <= set(convhub.__all__)


def test_settings_are_looked_up_quickly():
    config.current()
    assert min(timeit.repeat(config.current, number=1000, repeat=10, timer=time.thread_time)) / 1000 < 5e-6


def test_the_version_is_that_of_the_distribution():
    assert convhub.__version__ == importlib.metadata.version("convhub")
    with pytest.raises(AttributeError, match="module 'convhub' has no attribute 'version'"):
        _ = convhub.version
