"""What `pip install` brings: every package and file, the entry points, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w"]
    subprocess.run([*command, str(folder), str(ROOT)], check=True)
    (path,) = folder.glob("convhub-*.whl")
    return path


def test_the_wheel_holds_the_packages_and_no_more(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"convhub", *(f"convhub_{n}" for n in ("cupy", "naive", "numba", "numpy", "torch"))}
    assert "convhub/py.typed" in names
    shapes, templates = ([*ROOT.glob(f"convhub/{name}/*")] for name in ("bench/shapes", "scaffold/templates"))
    assert len(shapes) > 3
    assert "convhub/conformance/suite.ini" in names
    assert len(templates) > 3
    for source in [*shapes, *templates, *ROOT.glob("convhub/**/*.py"), *ROOT.glob("backends/*/**/*.py")]:
        name = str(source.relative_to(ROOT)).removeprefix("backends/")
        assert name in names


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
