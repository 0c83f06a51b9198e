"""What `pip install` brings, every package and file and nothing else, and what an index shows of it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from packaging.metadata import Metadata

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w"]
    subprocess.run([*command, str(folder), str(ROOT)], check=True)
    (path,) = folder.glob("convhub-*.whl")
    return path


def test_the_wheel_holds_the_packages_and_no_more(wheel):
    """One name at the top level for the core and for each backend; docs/installation.md says why."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"convhub", *(f"convhub_{n}" for n in ("cupy", "naive", "numba", "numpy", "torch"))}
    assert {f"{top}/py.typed" for top in tops} <= set(names)
    shapes, templates = ([*ROOT.glob(f"convhub/{name}/*")] for name in ("bench/shapes", "scaffold/templates"))
    assert len(shapes) > 3
    assert "convhub/conformance/suite.ini" in names
    kernels = [*ROOT.glob("backends/convhub_cupy/kernels/*.cu*")]
    assert {path.suffix for path in kernels} == {".cu", ".cuh"}
    assert len(templates) > 3
    python = [*ROOT.glob("convhub/**/*.py"), *ROOT.glob("backends/*/**/*.py")]
    for source in [*shapes, *templates, *kernels, *python]:
        name = str(source.relative_to(ROOT)).removeprefix("backends/")
        assert name in names


@pytest.fixture(scope="module")
def metadata(wheel):
    """Return the metadata that an index reads, checked as an index checks it."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Metadata.from_email(archive.read(name))  # raises for whatever is not as it must be


def test_the_metadata_says_what_an_index_shows(metadata):
    assert str(metadata.requires_python) == ">=3.11"
    assert metadata.license_expression == "BSD-3-Clause"
    assert metadata.description_content_type == "text/markdown"
    assert {"numba", "torch", "cuda12", "cuda13", "demo", "bench", "conformance"} == set(
        metadata.provides_extra
    )


def test_addresses_all_begin_with_that_of_the_repository(metadata):
    """So that the day it has a public one, one text is replaced in one place."""
    urls = metadata.project_urls
    assert {"Source", "Documentation", "Issues", "Changelog", "Security"} == set(urls)
    assert all(url.startswith(urls["Source"]) for url in urls.values())
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert text.count("https://") == len(urls) + 1, "the comment above them, and they"


def test_what_has_no_public_address_yet_cannot_be_uploaded(metadata):
    """`.example` is a name that nobody can have; an index refuses what is classified as private."""
    made_up = ".example/" in metadata.project_urls["Source"]
    assert ("Private :: Do Not Upload" in metadata.classifiers) == made_up


def test_links_and_pictures_of_the_readme_lead_into_the_repository(metadata):
    here, there = targets((ROOT / "README.md").read_text(encoding="utf-8")), targets(metadata.description)
    assert len(here) == len(there) > 10
    source, tag = metadata.project_urls["Source"], f"v{metadata.version}"
    for relative, absolute in zip(here, there, strict=True):
        kind = "raw" if relative.endswith((".png", ".jpg", ".svg")) else "blob"
        assert absolute == f"{source}/{kind}/{tag}/{relative}"
        assert (ROOT / relative.partition("#")[0]).exists()
    assert there[0].endswith("/raw/v0.1.0/docs/images/photo.png")


def test_code_and_what_is_absolute_are_left_alone():
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    alone = "[a](#b) [c](https://d.example/e) [f](mailto:g@h.example) `x[0](y)`\n\n```python\nf[0](z)\n```\n"
    assert hook.with_absolute_links(alone, "https://r.example", "v1") == alone
    given = "text [one](a/b.md#c), ![two](d.svg)\nand [three\nlines](e)"
    expected = (
        "text [one](https://r.example/blob/v1/a/b.md#c), ![two](https://r.example/raw/v1/d.svg)\n"
        "and [three\nlines](https://r.example/blob/v1/e)"
    )
    assert hook.with_absolute_links(given, "https://r.example", "v1") == expected


def targets(markdown):
    """Return where links and pictures lead, by a parser of Markdown."""
    inline = [child for token in MarkdownIt("commonmark").parse(markdown) for child in token.children or ()]
    found = [child.attrGet("href") or child.attrGet("src") for child in inline]
    return [target for target in found if target is not None]


def test_the_wheel_works_where_only_it_is(wheel, tmp_path):
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    code = (
        "import numpy as np, convhub; print(convhub.__file__);"
        "print(*convhub.available_backends());"
        "print(convhub.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)), backend='naive').item())"
    )
    environment = os.environ | {"PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    where, backends, value = done.stdout.splitlines()
    assert where.startswith(str(target))
    assert {"naive", "numpy"} <= set(backends.split())
    assert value == "9.0"
