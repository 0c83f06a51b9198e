"""What a type checker says of calls: nothing of right ones, and of each wrong one what is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).with_name("typing_scripts")


@pytest.fixture(scope="module")
def errors():
    """Return the kind of each error that mypy finds, by file and line."""
    pytest.importorskip("mypy", reason="it is what is asked")
    pytest.importorskip("torch", reason="the scripts are about its tensors too")
    # With the configuration and the cache of `make lint`, so that NumPy and torch are not read again.
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", *map(str, SCRIPTS.glob("*.py"))],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    found = re.findall(r"^\S*?(\w+\.py):(\d+): error: .*\[([a-z-]+)\]$", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    return {(file, int(line)): kind for file, line, kind in found}


def test_right_calls_have_results_of_the_type_of_what_came_in(errors):
    assert [where for where in errors if where[0] != "wrong.py"] == []


def test_each_wrong_call_is_found(errors):
    lines = (SCRIPTS / "wrong.py").read_text(encoding="utf-8").splitlines()
    wanted = {
        ("wrong.py", number): line.partition("  # ")[2]
        for number, line in enumerate(lines, 1)
        if "  # " in line
    }
    assert len(wanted) == 18
    assert {where: kind for where, kind in errors.items() if where[0] == "wrong.py"} == wanted
