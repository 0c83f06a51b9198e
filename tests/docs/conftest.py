"""The documentation, built once for all tests that look at it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import filelock
import pytest

ROOT = Path(__file__).parents[2]
OPTIONS = ["--fail-on-warning", "--keep-going", "--nitpicky", "--builder", "html"]


def pytest_addoption(parser):
    """Let ``make docs`` say what it has built already."""
    parser.addoption(
        "--built-docs", type=Path, metavar="FOLDER", help="test this site instead of building one"
    )


@pytest.fixture(scope="session")
def site(request, tmp_path_factory):
    """Return the folder of the site, as ``make docs`` builds it; of several workers of xdist, one builds."""
    built = request.config.getoption("--built-docs", default=None)
    if built is not None:
        return built
    shared = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        shared = shared.parent  # each worker has a folder of its own in there
    folder, log = shared / "site", shared / "site.log"
    with filelock.FileLock(shared / "site.lock"):
        if not log.exists():
            done = subprocess.run(
                [sys.executable, "-m", "sphinx", *OPTIONS, "-d", shared / "doctrees", ROOT / "docs", folder],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            log.write_text(f"exit code {done.returncode}\n{done.stdout}")
    text = log.read_text()
    assert text.startswith("exit code 0\n"), text
    return folder
