"""docs/track-performance.md, in a scratch repository: two revisions are compared, and a backend is added."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from support.asv_suite import ASV, ROOT, cells
from support.pages import run_page

PAGE = ROOT / "docs" / "track-performance.md"


@pytest.mark.timing
@pytest.mark.timeout(400)
def test_the_page_does_what_it_says(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ASV))
    import proof

    clone, home = tmp_path / "convhub", tmp_path / "home"
    clone.mkdir()
    home.mkdir()
    proof.copy_of_the_files(clone)
    author = {f"GIT_{role}_{key}": "reader" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    variables = {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.defpath)),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INDEX": "1",
        **author,
    }
    run_page(PAGE.read_text(encoding="utf-8"), tmp_path, variables)


def test_the_page_lists_every_benchmark(tmp_path):
    listed = set(re.findall(r"^\| `(\w+\.\w+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert listed == {name.rpartition(".")[0] for name in cells(tmp_path)}
