"""The contracts of imports in pyproject.toml are kept, and each is broken by an import that it forbids."""

from __future__ import annotations

import ast
import os
import pathlib
import pkgutil
import shutil
import subprocess
import sys
import tomllib

import pytest

import convhub

pytest.importorskip("importlinter", reason="import-linter checks the contracts")

ROOT = pathlib.Path(convhub.__file__).parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="no source tree")

UPWARDS = "convhub imports downwards only"
INWARDS = "a backend imports what is documented for authors, and no more of convhub"


def lint(folder):
    """Return the exit code and the words of the linter on a tree."""
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as c; c()",
        "--no-cache",
    ]
    path = os.pathsep.join([str(folder), str(folder / "backends")])
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Return a copy of the source, in which lines may be planted."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("convhub", "backends"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.nb[ic]"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_they_are_kept(tree):
    code, words = lint(tree)
    assert code == 0, words


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("convhub/problem/sizes.py", "from ..arrays import array_info", UPWARDS),
        ("convhub/problem/sizes.py", "def later():\n    from ..api import conv2d", UPWARDS),
        ("convhub/arrays/info.py", "if TYPE_CHECKING:\n    from ..backend import Backend", UPWARDS),
        ("convhub/dispatch/full_check.py", "from ..conformance import calls", UPWARDS),
        ("convhub/new_module.py", "", UPWARDS),
        (
            "convhub/dispatch/invoke.py",
            "from . import choose",
            "dispatch goes one way, from a request to a result",
        ),
        ("convhub/cli/output.py", "from .commands import bench", "no modules import each other in a circle"),
        ("backends/convhub_naive/loops.py", "import convhub_numpy", "no backend imports another"),
        ("convhub/arrays/convert.py", "import convhub_torch", "convhub imports no backend"),
        ("backends/convhub_naive/loops.py", "from convhub.arrays import array_info", INWARDS),
        (
            "backends/convhub_numba/algorithms/stem/kernels.py",
            "from ..gemm import kernels",
            "no algorithm of the numba engine imports another",
        ),
        (
            "backends/convhub_numba/layout/pack.py",
            "from ..algorithms.gemm import kernels",
            "the numba engine imports downwards only",
        ),
        (
            "backends/convhub_numba/vectors/moves.py",
            "from ..runtime import team",
            "the vectors of the numba engine know nothing of threads and compiling",
        ),
        (
            "backends/convhub_cupy/plan/axes.py",
            "from ..runtime import cupy_runtime",
            "the GPU engine imports downwards only",
        ),
        (
            "backends/convhub_cupy/plan/winograd.py",
            "from . import implicit_gemm",
            "no algorithm of the GPU engine plans by another",
        ),
    ],
)
def test_each_can_fail(tree, file, line, broken):
    path = tree / file
    before = path.read_text() if path.exists() else None
    path.write_text((before or "") + "\n" + line + "\n")
    try:
        code, words = lint(tree)
    finally:
        path.unlink() if before is None else path.write_text(before)
    assert code == 1, words
    assert f"{broken} BROKEN" in words, words


def test_every_module_is_either_open_to_backends_or_not():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (forbidden,) = (c["forbidden_modules"] for c in contracts if c["name"] == INWARDS)
    there = {f"convhub.{module.name}" for module in pkgutil.iter_modules(convhub.__path__)}
    open_to_all = {f"convhub.{name}" for name in ("backend", "conformance", "errors", "hookspecs", "plugins")}
    assert there - set(forbidden) == open_to_all
    assert set(forbidden) <= there


def test_no_import_escapes_the_linter():
    """It reads import statements; a module that `importlib` imports by name is one that no contract sees."""
    for path in [*(ROOT / "convhub").rglob("*.py"), *(ROOT / "backends").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                for argument in node.args:
                    name = ast.literal_eval(argument) if isinstance(argument, ast.Constant) else ""
                    assert not str(name).startswith((".", "convhub")), (path, node.lineno)
