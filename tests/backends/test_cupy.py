"""The place held for CUDA kernels: it offers nothing, and says exactly what is missing."""

import importlib.machinery
import subprocess
import sys
import types

import pytest
from convhub_cupy import convhub_backends

CUPY = convhub_backends()[0]


class CUDARuntimeError(RuntimeError):
    """As CuPy's."""


@pytest.fixture
def plant(monkeypatch):
    """Return a function that plants a module ``cupy`` whose runtime counts devices by another one."""

    def planted(count_devices):
        cupy = types.ModuleType("cupy")
        cupy.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
        cupy.cuda = types.SimpleNamespace(
            runtime=types.SimpleNamespace(getDeviceCount=count_devices, CUDARuntimeError=CUDARuntimeError)
        )
        monkeypatch.setitem(sys.modules, "cupy", cupy)

    return planted


def test_offers_nothing():
    assert CUPY.primitives == ()
    assert CUPY.capabilities.devices == ("cuda",)
    assert CUPY.capabilities.arrays == "cupy"
    assert all(CUPY.capabilities.dtypes_of(p) == () for p in ("forward", "grad_input", "grad_weight"))


def test_not_installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    reason = CUPY.availability()
    assert "not installed" in reason
    assert "pip install 'convhub[cuda13]'" in reason
    assert "convhub[cuda12]" in reason


def test_no_driver(plant):
    def no_driver():
        raise CUDARuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")

    plant(no_driver)
    assert "cudaErrorInsufficientDriver" in CUPY.availability()


def test_no_device(plant):
    plant(lambda: 0)
    assert "no device" in CUPY.availability()


def test_a_device_but_no_kernels(plant):
    plant(lambda: 2)
    assert "no CUDA kernels yet" in CUPY.availability()


def test_broken_installation(monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('libcudart.so.13: cannot open')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert "libcudart.so.13" in CUPY.availability()


def test_the_plugin_does_not_import_cupy():
    code = "import sys, convhub_cupy; convhub_cupy.convhub_backends(); sys.exit('cupy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
