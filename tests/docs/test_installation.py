"""docs/installation.md names every extra, and what pages, CI and containers are told to do can be done."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml
from support.markdown_pages import ROOT

from convhub.scaffold import write_distribution

PAGE = (ROOT / "docs" / "installation.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_table_has_every_extra():
    table = PAGE.partition("| extra |")[2].partition("\n\n")[0]
    first_cells = " ".join(re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", first_cells)) == set(PROJECT["project"]["optional-dependencies"])


def test_every_name_at_the_top_level_is_told():
    names = [
        path.rpartition("/")[2] for path in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    ]
    assert len(names) == 6
    assert f"{['two', 'three', 'four', 'five', 'six'][len(names) - 2]} names at the top level" in PAGE
    assert all(f"`{name}`" in PAGE for name in names)


def test_the_oldest_versions_are_tried_of_every_extra_that_can_be_installed_in_minutes():
    """uv takes what an extra of an extra needs for indirect, so each must be named."""
    (named,) = re.findall(r"--editable '\.\[([a-z,0-9]+)\]'", MAKEFILE)
    gigabytes = {"torch", "cuda12", "cuda13", "bench"}  # bench has torch, and matplotlib, which demo has too
    assert set(named.split(",")) == set(PROJECT["project"]["optional-dependencies"]) - gigabytes
    assert "--resolution lowest-direct" in MAKEFILE


def test_every_requirement_has_a_lower_bound():
    lists = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    for text in (text for one in lists for text in one if not text.startswith("convhub[")):
        assert re.search(r">=\d|==\d+\.\*", text), text


def test_the_container_keeps_kernels_where_the_engine_looks():
    location = pytest.importorskip("convhub_numba.runtime.kernel_cache.location")
    dockerfile = PAGE.partition("```text\nFROM ")[2].partition("```")[0]
    folder = re.search(rf"^ENV {location.VARIABLE}=(\S+)$", dockerfile, re.MULTILINE)[1]
    made = dockerfile.index(f"install -d -o app -m 0700 {folder}")
    assert made < dockerfile.index("USER app") < dockerfile.index("RUN convhub compile")


def test_ci_of_a_new_backend_finds_convhub_without_an_index(tmp_path):
    folder, *_ = write_distribution("mine", tmp_path)
    workflow = yaml.safe_load((folder / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    runs = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    assert runs == ["pip install --find-links wheels --editable '.[test]'", "pytest --convhub-level full"]
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert "pip wheel --no-deps --wheel-dir wheels " in readme
    assert "pip install convhub-mine" not in readme, "it is on no index"
