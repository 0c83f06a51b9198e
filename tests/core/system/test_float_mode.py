"""Results do not depend on the floating-point mode of the thread that calls, and it has its mode back."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import platform
import sys

import numpy as np
import pytest

import convhub
from convhub.system.float_mode import is_usual

pytestmark = pytest.mark.skipif(
    sys.platform not in ("linux", "darwin") or platform.machine() not in ("x86_64", "aarch64", "arm64"),
    reason="the mode is set by the C library of Linux and macOS",
)

BACKENDS = [name for name in ("naive", "numpy", "numba", "torch")
            if name in ("naive", "numpy") or importlib.util.find_spec(name)]  # fmt: skip
#: FE_UPWARD
UPWARD = 0x800 if platform.machine() == "x86_64" else 0x400000
libm = ctypes.CDLL("libm.so.6" if sys.platform == "linux" else "libSystem.dylib")


@contextlib.contextmanager
def flushing():
    torch = pytest.importorskip("torch", reason="torch sets the mode")
    if not torch.set_flush_denormal(True):
        pytest.skip("this machine cannot flush")
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextlib.contextmanager
def rounding_upward():
    before = libm.fegetround()
    assert libm.fesetround(UPWARD) == 0
    try:
        yield
    finally:
        libm.fesetround(before)


@pytest.fixture(scope="module")
def operands():
    """Return numbers of which many products are below the normal ones."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((2, 3, 12, 11)) * 2.0**10, rng.standard_normal((4, 3, 3, 3)) * 2.0**-1036


def results(x, w, backend):
    y = convhub.conv2d(x, w, padding=1, backend=backend)
    gradients = convhub.conv2d_backward(y, x, w, padding=1, backend=backend)
    return [array.tobytes() for array in (y, *gradients)]


@pytest.mark.parametrize("mode", [flushing, rounding_upward])
@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_bits_are_those_of_the_usual_mode(monkeypatch, operands, backend, threads, mode):
    monkeypatch.setenv("CONVHUB_THREADS", threads)
    expected = results(*operands, backend)
    with mode():
        assert not is_usual()
        found = results(*operands, backend)
        assert not is_usual()  # as the caller has it
    assert is_usual()
    assert found == expected


def test_the_mode_is_put_back_where_a_backend_raises():
    from convhub.system.float_mode import in_usual_mode

    def fail():
        assert is_usual()
        raise ZeroDivisionError

    with rounding_upward():
        with pytest.raises(ZeroDivisionError):
            in_usual_mode(fail)
        assert not is_usual()
    assert is_usual()
