"""What the driver is asked, through a library that stands in for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from convhub.system import gpu
from convhub.system.gpu import Gpu, GpuError, gpus, suited

FAKES = Path(__file__).parents[2] / "gpu" / "fake_driver"
SCRIPT = Path(gpu.__file__)


@pytest.fixture
def driver(fake_driver, monkeypatch):
    """Have the stand-in of the driver, and of ``nvidia-smi``."""
    monkeypatch.setattr(gpu, "DRIVER", str(fake_driver / "libcuda.so.1"))
    monkeypatch.setenv("PATH", f"{FAKES / 'bin'}{os.pathsep}{os.environ['PATH']}")


def test_every_gpu_in_the_drivers_order(driver):
    first, second = gpus()
    assert first == Gpu("Fake A1", "8.6", 108, 2**34, "580.65.06", "13.1", 40)
    assert second == Gpu("Fake H1 80GB", "9.6", 108, 2**35, "580.65.06", "13.1", None)
    assert (first.busy, second.busy) == (True, False)
    assert str(second).startswith("Fake H1 80GB, compute capability 9.6, 108 multiprocessors, 32.0 GiB")


def test_without_nvidia_smi_the_release_is_unknown(driver, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (gpus()[0].driver, gpus()[0].load) == ("", None)
    assert "driver unknown" in str(gpus()[0])
    failing = tmp_path / "nvidia-smi"
    failing.write_text("#!/bin/sh\necho broken\nexit 9\n")
    failing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin{os.pathsep}/usr/bin")
    assert gpus()[0].driver == ""


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("FAKE_CUDA_INIT", "100", r"cuInit: no CUDA-capable device is detected \(error 100\)"),
        ("FAKE_CUDA_INIT", "7", r"cuInit: unknown \(error 7\)"),
        ("FAKE_CUDA_COUNT", "0", "the driver has no GPU that this process may use"),
    ],
)
def test_what_the_driver_says_against_it(driver, monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    with pytest.raises(GpuError, match=message):
        gpus()


def test_no_driver(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "DRIVER", str(tmp_path / "libcuda.so.1"))
    with pytest.raises(GpuError, match="there is no NVIDIA driver: .*libcuda.so.1"):
        gpus()


def test_a_driver_is_suited_to_its_own_release_of_cuda_and_older_ones(driver):
    found = gpus()
    suited(found, 12)
    suited(found, 13)
    with pytest.raises(GpuError, match=r"supports CUDA 13.1 at most, not 14: update it, or set CUDA=13"):
        suited(found, 14)


@pytest.mark.parametrize(
    ("version", "code", "message"),
    [
        ("13010", 0, "cuda:1: Fake H1 80GB"),
        ("12040", 1, "no CUDA device: driver 580.65.06 supports CUDA 12.4 at most, not 13"),
    ],
)
def test_as_a_script_it_needs_no_package(fake_driver, version, code, message):
    variables = {"LD_LIBRARY_PATH": str(fake_driver), "PATH": f"{FAKES / 'bin'}:/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(SCRIPT), "13"],
        env=variables | {"FAKE_CUDA_VERSION": version},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert message in done.stdout + done.stderr


def test_as_a_script_where_there_is_no_driver():
    if shutil.which("nvidia-smi"):
        pytest.skip("there is a driver here")
    command = [sys.executable, "-I", "-S", str(SCRIPT), "13"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("no CUDA device: there is no NVIDIA driver: ")
