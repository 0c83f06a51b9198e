"""Every example in a docstring runs and says what is written there; the README names what there is."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest
import typer.main

import convhub
from convhub.cli.app import app
from convhub.config import KEYS, VARIABLES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(convhub.__path__, "convhub.")
    if ".test_" not in name and not name.endswith(("conftest", "__main__"))
]


@pytest.mark.parametrize("name", ["convhub", *MODULES])
def test_examples_in_docstrings(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_public_functions_have_an_example():
    for name in ("conv2d", "conv2d_backward", "conv_transpose2d", "conv_transpose2d_backward", "explain"):
        assert doctest.DocTestFinder().find(getattr(convhub, name))[0].examples, name


def test_the_readme_names_every_command_setting_and_variable():
    for command in typer.main.get_command(app).commands:
        assert f"convhub {command}" in README, command
    for key in KEYS:
        assert f"`{key}`" in README, key
    assert all(variable.startswith("CONVHUB_") for variable in VARIABLES)


def test_make_targets_of_the_readme_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert {"demo", "test"} <= named <= targets
    assert "make test" in (ROOT / ".ci" / "run").read_text()
