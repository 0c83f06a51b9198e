"""What `import convhub` and a call cost, in processor time, so that a busy machine changes nothing."""

from __future__ import annotations

import ast
import pathlib
import re
import subprocess
import sys
import time
import timeit

import numpy as np

import convhub
from convhub import config
from convhub.dispatch import Request, choose

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
    assert min(float(fresh(code)) for _ in range(5)) < 0.1


def test_a_tiny_convolution_through_numpy_costs_at_most_25_us_above_the_arithmetic():
    x, w = np.ones((1, 1, 4, 4), "f4"), np.ones((1, 1, 3, 3), "f4")
    problem = convhub.Problem("forward", 1, 1, 1, (4, 4), (3, 3))
    choice = choose(problem, Request("numpy", "argument"))
    columns, rows = np.ones((9, 4), "f4"), np.ones((2, 9), "f4")
    count = 500

    def best(call):
        return min(timeit.repeat(call, number=count, repeat=20, timer=time.thread_time)) / count * 1e6

    whole = best(lambda: convhub.conv2d(x, w, backend="numpy"))
    arithmetic = best(lambda: rows @ columns)
    engine = best(lambda: choice.function(x, w, None, problem, choice.options))
    print(f"tiny convolution: {whole:.1f} us, engine {engine:.1f} us, product alone {arithmetic:.1f} us")
    assert whole - arithmetic < 25


def test_public_names_are_sorted_complete_and_documented():
    assert convhub.__all__ == sorted(convhub.__all__)
    tree = ast.parse(pathlib.Path(convhub.__file__).read_text())
    imported = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported == set(convhub.__all__)
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
