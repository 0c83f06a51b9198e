"""CONTRIBUTING's walk "Add an algorithm to the CPU engine" works: its diff applies, and what it adds runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").is_file())

PROGRAM = """
import numpy as np, convhub
from convhub.backend import RunOptions
import convhub_numba
assert convhub_numba.__file__.startswith(FOLDER), convhub_numba.__file__
for dtype in ("float32", "float64", "float16"):
    problem = convhub.Problem.parse(f"forward_{dtype}_n2c21h5w9_k21r1s1_groups21")
    assert convhub_numba.backend.algorithm(problem, RunOptions(threads=2)) == "scale"
    x = np.arange(2 * 21 * 5 * 9).reshape(2, 21, 5, 9).astype(dtype) % 31 - 15
    w = (np.arange(21, dtype=dtype) - 10).reshape(21, 1, 1, 1)
    bias = np.arange(21, dtype=dtype)
    y = convhub.conv2d(x, w, bias, groups=21, backend="numba")
    assert np.array_equal(y, x * w[:, 0] + bias[:, None, None])
    y = convhub.conv2d(x[..., ::-2], w, bias, groups=21, backend="numba")
    assert np.array_equal(y, x[..., ::-2] * w[:, 0] + bias[:, None, None])
print(convhub.explain(problem, backend="numba"))
"""


def test_the_diff_of_the_walk_adds_an_algorithm(tmp_path):
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.partition("\n## Add an algorithm to the CPU engine\n")[2].partition("\n## ")[0]
    (diff,) = re.findall(r"^```diff\n(.*?)^```$", section, re.S | re.M)
    ignored = shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc")
    shutil.copytree(
        ROOT / "backends" / "convhub_numba", tmp_path / "backends" / "convhub_numba", ignore=ignored
    )
    subprocess.run(["git", "apply", "-"], input=diff, text=True, cwd=tmp_path, check=True)
    folder = str(tmp_path / "backends")
    paths = [folder, str(ROOT), os.environ.get("PYTHONPATH", "")]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    program = PROGRAM.replace("FOLDER", repr(folder))
    done = subprocess.run(
        [sys.executable, "-c", program], env=variables, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "would run on numba (scale), by argument" in done.stdout
