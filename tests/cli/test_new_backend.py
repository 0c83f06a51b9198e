"""`convhub new-backend`: what it writes, and what it refuses; tests/e2e installs and runs it."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from convhub import plugins
from convhub.conformance.verify import verify
from convhub.problem import Problem
from convhub.scaffold import FILES

#: Of convhub's own rules those that have nothing to do with its names.
RULES = "A,B,C4,D,E,F,I,NPY,PERF,PIE,PT,PYI,RET,RUF,SIM,UP,W"


@pytest.fixture
def written(run, tmp_path):
    result = run("new-backend", "my-loops")
    assert result.exit_code == 0
    return tmp_path / "convhub-my-loops", result.stdout


def test_it_writes_a_distribution_and_says_what_comes_next(written):
    folder, printed = written
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {name.replace("$module", "my_loops") for name in FILES}
    assert printed.splitlines() == [
        "Wrote convhub-my-loops:",
        *(f"  {name.replace('$module', 'my_loops')}" for name in FILES),
        "",
        "Next:",
        "  cd convhub-my-loops",
        "  pip install --editable '.[test]'",
        "  pytest",
    ]


def test_every_place_has_the_name(written):
    folder, _ = written
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert "$" not in text.replace("${{ matrix.python }}", ""), path
            assert "mine" not in text, path
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["name"] == "convhub-my-loops"
    assert project["project"]["entry-points"]["convhub"] == {"my-loops": "convhub_my_loops"}
    assert project["project"]["dependencies"][0].startswith("convhub>=0.")
    tree = ast.parse((folder / "src" / "convhub_my_loops" / "__init__.py").read_text())
    assert any(isinstance(node, ast.Constant) and node.value == "my-loops" for node in ast.walk(tree))


def test_the_three_lines_are_three(written):
    folder, _ = written
    _, _, test = (folder / "tests" / "test_conformance.py").read_text().partition("conformance_cases\n\n\n")
    assert test == '@conformance_cases("my-loops", level="quick")\ndef test_conformance(case):\n    case()\n'


def test_what_it_writes_is_of_good_style(written):
    pytest.importorskip("ruff", reason="it is part of `make test`, and not of `make test-oldest`")
    folder, _ = written
    for arguments in (
        ["ruff", "check", "--isolated", "--select", RULES, "--ignore", "D203,D213,D100,D103,RUF001,RUF002"],
        ["ruff", "format", "--check", "--isolated"],
    ):
        command = [sys.executable, "-m", *arguments, "--no-cache", "--line-length", "110", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("primitive", ["forward", "grad_input", "grad_weight"])
def test_a_backend_with_a_hyphen_computes(written, monkeypatch, primitive):
    folder, _ = written
    monkeypatch.syspath_prepend(folder / "src")
    plugins.register(importlib.import_module("convhub_my_loops"), "my-loops")
    problem = Problem.parse(f"{primitive}_float32_n2c6h19w16_k9r3s2_stride2x3_dilation3x2_pad3-0x1-2_groups3")
    findings = verify(problem, "my-loops", checks=("random data", "exact integers", "small workspace"))
    plugins.unregister("my-loops")
    assert [finding.outcome for finding in findings] == ["passed"] * 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My Loops", "a name has lowercase letters, digits, - and _ only, … Did you mean 'my-loops'?"),
        ("3fast", "… Did you mean 'fast'?"),
        ("*", "a name has lowercase letters, digits, - and _ only, and begins with a letter."),
        (
            "loops-",
            "it must end with a letter or digit, as part of the name of a distribution. … 'loops'?",
        ),
        ("auto", "'auto' means automatic choice, and cannot be a name."),
        (
            "numpy",
            "… which plugin 'numpy' of convhub … has; it must be one that `convhub backends` does not list",
        ),
    ],
)
def test_it_refuses_names_that_no_new_backend_can_have(run, tmp_path, name, message):
    result = run("new-backend", "--", name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: name is {name!r}")
    for part in message.split("…"):
        assert part.strip() in result.stderr
    assert not [*tmp_path.iterdir()]


def test_it_refuses_the_name_of_a_plugin(run, toy):
    assert "name is 'toy', which plugin 'toy' of this process has" in run("new-backend", toy).stderr


def test_it_writes_where_it_is_told_and_over_nothing(run, tmp_path):
    place = tmp_path / "a place"
    assert "directory is 'a place'; it must be a folder that exists" in _refused(run, place)
    place.mkdir()
    printed = run("new-backend", "loops", "--directory", "a place").stdout
    assert "  cd 'a place/convhub-loops'\n" in printed
    file = place / "convhub-loops" / "README.md"
    file.write_text("mine")
    assert f"the folder {Path('a place/convhub-loops')} exists already" in _refused(run, place)
    assert file.read_text() == "mine"


def _refused(run, place):
    result = run("new-backend", "loops", "--directory", place.name)
    assert (result.exit_code, result.stdout) == (2, "")
    return result.stderr
