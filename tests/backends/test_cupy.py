"""The backend `cupy` without a GPU: what it declares, what it says is missing, and how it calls CuPy."""

import importlib.machinery
import os
import subprocess
import sys
import types

import convhub_cupy
import convhub_torch
import pytest
from convhub_cupy import convhub_backends
from convhub_cupy import runtime as runtime_module

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


def test_declares_every_primitive_and_stands_below_torch():
    assert CUPY.primitives == ("forward", "grad_input", "grad_weight")
    assert CUPY.capabilities.devices == ("cuda",)
    assert CUPY.capabilities.arrays == "cupy"
    (torch,) = convhub_torch.convhub_backends()
    assert CUPY.preference["cuda"] < torch.preference["cuda"]


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


def test_a_device(plant):
    plant(lambda: 2)
    assert CUPY.availability() is True


def test_kernels_are_compiled_once_for_each_device_and_launched_on_the_current_stream():
    """CuPy's part is played by an object that notes what it is asked for."""
    modules, launches = [], []

    class RawModule:
        def __init__(self, code, options):
            modules.append((code, options))

        def get_function(self, name):
            return lambda grid, block, arguments, shared_mem: launches.append((name, grid, block, arguments))

    device = types.SimpleNamespace(id=0)
    cupy = types.ModuleType("cupy")
    cupy.RawModule, cupy.cuda = RawModule, types.SimpleNamespace(Device=lambda: device)
    runtime = object.__new__(runtime_module.CupyRuntime)
    runtime.xp = cupy
    source = runtime_module.Source("direct.cu", "direct_correlate", ("-DELEMENT=float", "-DTOTAL=float"))
    for _ in range(2):
        runtime.launch(source, (5, 1, 1), (256, 1, 1), (None, 7))
    device.id = 1
    runtime.launch(source, (5, 1, 1), (256, 1, 1), (None, 7))
    assert launches == [("direct_correlate", (5, 1, 1), (256, 1, 1), (0, 7))] * 3
    assert len(modules) == 2
    code, options = modules[0]
    assert "direct_correlate" in code
    assert {f"-I{runtime_module.INCLUDES}", "-DELEMENT=float", "-std=c++17"} <= set(options)
    assert any(option.startswith("-DCONVHUB_SOURCES=0x") for option in options)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no os.fork")
def test_a_forked_child_is_refused(monkeypatch):
    monkeypatch.setattr(convhub_cupy, "_process", [])
    convhub_cupy._check_process()
    convhub_cupy._check_process()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(RuntimeError, match="forked after CUDA had started.*'spawn'"):
        convhub_cupy._check_process()


def test_broken_installation(monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('libcudart.so.13: cannot open')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert "libcudart.so.13" in CUPY.availability()


def test_the_plugin_does_not_import_cupy():
    code = "import sys, convhub_cupy; convhub_cupy.convhub_backends(); sys.exit('cupy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
