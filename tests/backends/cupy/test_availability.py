"""What the backend `cupy` says is missing, by CuPy's own errors; replaced calls play a driver's part."""

import os
import re
import sys

import pytest
from convhub_cupy import convhub_backends
from convhub_cupy.runtime import availability as module
from convhub_cupy.runtime.availability import availability, refuse_after_fork

import convhub

REASON = "CuPy is not installed, whose errors are used here"


@pytest.fixture(autouse=True)
def _first_use(monkeypatch):
    monkeypatch.setattr(module, "_process", [])


@pytest.fixture
def cuda(monkeypatch):
    """Return CuPy with a function that replaces answers of CUDA's runtime; exceptions are raised.

    Without replacements it is a machine with a driver for CUDA 13.0, CuPy for 13.2, a device and a compiler.
    """
    cupy = pytest.importorskip("cupy", reason=REASON)

    def replace(where=cupy.cuda.runtime, **answers):
        for name, answer in answers.items():

            def called(*_, answer=answer):
                if isinstance(answer, Exception):
                    raise answer
                return answer

            monkeypatch.setattr(where, name, called)

    cupy.cuda.runtime.replace = replace
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    replace(driverGetVersion=13000, runtimeGetVersion=13020, getDeviceCount=2)
    replace(cupy.cuda.nvrtc, getVersion=(13, 2))
    yield cupy
    del cupy.cuda.runtime.replace


def test_not_installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    (backend,) = convhub_backends()
    assert backend.availability() == (
        "CuPy is not installed: pip install 'convhub[cuda13]' (or 'convhub[cuda12]')"
    )


def test_without_a_home_cupy_makes_no_folder_where_you_stand(monkeypatch, tmp_path):
    pytest.importorskip("cupy", reason=REASON)
    monkeypatch.delenv("CUPY_CACHE_DIR", raising=False)
    monkeypatch.setattr(module.os.path, "expanduser", lambda path: path)
    assert availability() == (
        "CuPy has no folder for compiled kernels, since the home folder is unknown: "
        "set CUPY_CACHE_DIR to a folder that only you can write to"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "raise PermissionError(13, 'Permission denied', '/home/none/.cupy')",
            "cannot be imported: [Errno 13] Permission denied: '/home/none/.cupy'; set CUPY_CACHE_DIR to a "
            "folder that only you can write to",
        ),
        ("raise ImportError('no libcudart.so.13')", "cannot be imported: no libcudart.so.13"),
        # CuPy puts the reason into a page of advice.
        (
            "try:\n    raise ImportError('no libcublas.so')\n"
            "except ImportError as e:\n    raise ImportError('=====\\nFailed\\n===') from e",
            "cannot be imported: no libcublas.so",
        ),
    ],
)
def test_broken_installation(monkeypatch, tmp_path, text, reason):
    (tmp_path / "cupy.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert availability() == f"CuPy is installed, but {reason}"


def test_a_device(cuda):
    assert availability() is True


def test_no_driver(cuda):
    insufficient = cuda.cuda.runtime.CUDARuntimeError(35)
    cuda.cuda.runtime.replace(driverGetVersion=0, getDeviceCount=insufficient)
    assert re.match("there is no CUDA driver .libcuda.: install NVIDIA's, or .*--gpus all", availability())


def test_this_machine_without_a_driver():
    cupy = pytest.importorskip("cupy", reason=REASON)
    if cupy.cuda.runtime.driverGetVersion():
        pytest.skip("there is a CUDA driver")
    assert "there is no CUDA driver" in availability()


@pytest.mark.parametrize(
    ("driver", "cupys", "words"),
    [
        (12040, 13020, "for CUDA 12.4, and this CuPy for CUDA 13.2: update the driver, to 580 or newer, or "),
        (12040, 13020, "pip uninstall cupy-cuda13x, pip install 'convhub[cuda12]'"),
        (11080, 13020, "for CUDA 11.8, and this CuPy for CUDA 13.2: update the driver, to 580 or newer"),
        (11080, 12090, "for CUDA 11.8, and this CuPy for CUDA 12.9: update the driver, to 525 or newer"),
        (13010, 14030, "update the driver, or change CuPy: pip uninstall cupy-cuda14x"),
    ],
)
def test_a_driver_older_than_the_major_version_that_cupy_is_made_for(cuda, driver, cupys, words):
    cuda.cuda.runtime.replace(driverGetVersion=driver, runtimeGetVersion=cupys)
    assert words in availability()
    assert ("change CuPy" in availability()) == (driver > 12000)


@pytest.mark.parametrize(
    ("driver", "cupys"), [(13000, 13020), (12000, 12090), (13020, 13000), (13000, 12090)]
)
def test_a_driver_of_the_same_major_version_or_a_newer_one_will_do(cuda, driver, cupys):
    cuda.cuda.runtime.replace(driverGetVersion=driver, runtimeGetVersion=cupys)
    assert availability() is True


def test_no_device(cuda, monkeypatch):
    cuda.cuda.runtime.replace(getDeviceCount=cuda.cuda.runtime.CUDARuntimeError(100))
    assert availability() == "CuPy and a CUDA driver are installed, but there is no device"
    cuda.cuda.runtime.replace(getDeviceCount=0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert availability().endswith("but there is no device; CUDA_VISIBLE_DEVICES is ''")


def test_another_error(cuda):
    cuda.cuda.runtime.replace(getDeviceCount=cuda.cuda.runtime.CUDARuntimeError(999))
    assert availability().startswith("CUDA does not answer: cudaErrorUnknown: ")


def test_no_compiler(cuda):
    from cuda.pathfinder import DynamicLibNotFoundError

    cuda.cuda.runtime.replace(cuda.cuda.nvrtc, getVersion=DynamicLibNotFoundError("no libnvrtc.so.13\n"))
    assert availability() == (
        "CUDA's compiler NVRTC is missing: pip install 'convhub[cuda13]' (no libnvrtc.so.13)"
    )


def test_a_forked_child_is_refused_and_told_why(cuda, monkeypatch):
    refuse_after_fork()
    refuse_after_fork()
    assert availability() is True
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(convhub.BackendUnavailableError, match="forked from one in which CUDA .*'spawn'"):
        refuse_after_fork()
    assert "forked from one in which CUDA had started" in availability()


def test_asking_whether_cuda_is_there_starts_it(cuda, monkeypatch):
    assert availability() is True
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(convhub.BackendUnavailableError, match="'spawn'"):
        refuse_after_fork()


def test_without_a_driver_nothing_starts_and_a_child_hears_why(cuda, monkeypatch):
    cuda.cuda.runtime.replace(driverGetVersion=0)
    for process in (1, 2):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        assert "there is no CUDA driver" in availability()


def test_a_fork_after_someone_else_started_cuda(cuda):
    cuda.cuda.runtime.replace(getDeviceCount=cuda.cuda.runtime.CUDARuntimeError(3))
    assert re.match("CUDA does not start .cudaErrorInitializationError.*forked .*'spawn'", availability())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no os.fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_real_fork():
    refuse_after_fork()
    child = os.fork()
    if child == 0:
        try:
            refuse_after_fork()
        except convhub.BackendUnavailableError:
            os._exit(42)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
