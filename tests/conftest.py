"""What every test shares: no configuration from outside, and a third-party backend to register."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from platformdirs import user_cache_dir
from support import toy_backend

from convhub import config, plugins
from convhub.system.gpu import GpuError, gpus

# Compiled kernels are no settings: each is named by what it is made of, so all runs of the tests share them.
os.environ.setdefault("NUMBA_CACHE_DIR", user_cache_dir("convhub", appauthor=False))


@pytest.fixture(autouse=True)
def _nobodys_settings(monkeypatch, tmp_path_factory):
    """Hide the settings, and the measured choices, of the user who runs the tests."""
    for name in [name for name in os.environ if name.startswith("CONVHUB_")]:
        monkeypatch.delenv(name)
    home = tmp_path_factory.getbasetemp() / "home"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    config.reload()
    yield
    config.reload()


@pytest.fixture
def toy():
    """Register the toy backend, as an installed plugin would be, and give its name."""
    plugins.register(toy_backend, "toy")
    yield "toy"
    plugins.unregister("toy")


@pytest.fixture
def without_gpu():
    """Skip what shows how convhub does without a GPU, where there is one."""
    try:
        gpus()
    except GpuError:
        return
    pytest.skip("there is a GPU here")


@pytest.fixture(scope="session")
def fake_driver(tmp_path_factory):
    """Return the folder of a library that stands in for NVIDIA's driver, and has two GPUs."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or os.name != "posix":
        pytest.skip("the stand-in for the driver needs a C compiler on a POSIX system")
    folder = tmp_path_factory.mktemp("driver")
    source = Path(__file__).parent / "gpu" / "fake_driver" / "libcuda.c"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", folder / "libcuda.so.1", source], check=True
    )
    return folder


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return the function that installs a distribution with one plugin module in a folder of packages."""
    folder = tmp_path / "site-packages"
    folder.mkdir()

    def install_(module, source, distribution=None, version="1.2", entry=None):
        distribution = distribution or f"convhub-{module}"
        (folder / f"{module}.py").write_text(source)
        info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[convhub]\n{entry or module} = {module}\n")
        if str(folder) not in sys.path:
            monkeypatch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        plugins.registering._forget()
        return folder

    yield install_
    for name in [n for n, m in list(sys.modules.items()) if str(folder) in str(getattr(m, "__file__", ""))]:
        del sys.modules[name]
    monkeypatch.undo()
    plugins.registering._forget()
