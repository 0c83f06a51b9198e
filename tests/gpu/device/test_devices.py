"""Several devices, a device without memory left, and processes forked after CUDA has started."""

import re
import subprocess
import sys

import numpy as np
import pytest

import convhub

from .on_device import assert_right, reference, small_integers, to_numpy, to_torch

X, W, G = small_integers(2, 3, 9, 8), small_integers(4, 3, 3, 2, seed=1), small_integers(2, 4, 7, 7, seed=2)


@pytest.fixture
def second():
    """Skip where there is one device only; return the number of the second."""
    import cupy

    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("this machine has one CUDA device, and the test is of two")
    return 1


@pytest.mark.parametrize("backend", ["cupy", "torch"])
def test_arrays_on_a_device_that_is_not_the_current_one(second, backend):
    import cupy

    with cupy.cuda.Device(second):
        x, w, g = (cupy.asarray(a) for a in (X, W, G))
        cupy.cuda.Device(second).synchronize()
    results = convhub.conv2d(x, w, backend=backend), *convhub.conv2d_backward(g, x, w, backend=backend)
    assert cupy.cuda.Device().id == 0
    for mine, right in zip(results, (reference(X, W), *reference(X, W, G)), strict=True):
        assert mine.device.id == second
        with cupy.cuda.Device(second):
            assert_right(mine, right)


@pytest.mark.parametrize("backend", ["cupy", "torch"])
def test_tensors_on_a_device_that_is_not_the_current_one(second, backend):
    import torch

    x, w, g = (to_torch(a, f"cuda:{second}") for a in (X, W, G))
    results = convhub.conv2d(x, w, backend=backend), *convhub.conv2d_backward(g, x, w, backend=backend)
    assert torch.cuda.current_device() == 0
    for mine, right in zip(results, (reference(X, W), *reference(X, W, G)), strict=True):
        assert mine.device == x.device
        assert_right(mine, right)


def test_arrays_of_two_devices_in_one_call(second):
    words = "weight of shape .* has device cuda:1, but input of shape .* has device cuda:0"
    with pytest.raises(convhub.MixedArraysError, match=words):
        convhub.conv2d(to_torch(X, "cuda:0"), to_torch(W, "cuda:1"))


@pytest.mark.parametrize("library", ["torch", "cupy"])
def test_no_memory_left(library):
    import cupy

    # Four tebibytes, of operands of four megabytes each.
    x, w = np.ones((1, 1, 1024, 1024), "f4"), np.ones((2**20, 1, 1, 1), "f4")
    given = [to_torch(a) if library == "torch" else cupy.asarray(a) for a in (x, w)]
    with pytest.raises(convhub.OutOfMemoryError) as caught:
        convhub.conv2d(*given, backend="cupy")
    assert isinstance(caught.value, MemoryError)
    assert isinstance(caught.value.__cause__, MemoryError)
    total = cupy.cuda.runtime.memGetInfo()[1]
    found = re.search(
        r"result takes ([\d,]+) bytes .*, and ([\d,]+) of the device's ([\d,]+)", str(caught.value)
    )
    sizes = [int(group.replace(",", "")) for group in found.groups()]
    assert (sizes[0], sizes[2]) == (2**42, total)
    assert 0 < sizes[1] <= total
    small = [to_torch(a) if library == "torch" else cupy.asarray(a) for a in (X, W)]
    np.testing.assert_array_equal(to_numpy(convhub.conv2d(*small, backend="cupy")), reference(X, W))


FORKING = """
import os, sys, warnings
warnings.simplefilter("ignore")
import cupy, convhub

x = cupy.ones((1, 1, 4, 4), "f4")
if {asked_by_convhub}:
    convhub.conv2d(x, x[..., :3, :3], backend="cupy")
child = os.fork()
if child == 0:
    try:
        convhub.conv2d(x, x[..., :3, :3], backend="cupy")
    except convhub.BackendUnavailableError as error:
        print(error, flush=True)
        os._exit(42)
    os._exit(1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.parametrize("asked_by_convhub", [True, False])
def test_a_fork_after_cuda_has_started(asked_by_convhub):
    code = FORKING.format(asked_by_convhub=asked_by_convhub)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 42, done.stderr
    assert "'spawn'" in done.stdout
