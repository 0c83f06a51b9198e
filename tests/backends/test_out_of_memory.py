"""That memory has run out is a MemoryError on every backend."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided
from support.faulty_plugins import PROBLEM, WHO, plugin

import convhub
from convhub.system.out_of_memory import as_memory_error

W = np.ones((1, 1, 1, 1))

#: 64 TiB of zeros, which lie in eight bytes; no machine has room for a result of that size.
WIDE = as_strided(np.ones(1), (2**23, 1, 2**10, 2**10), (0, 0, 0, 0))


@pytest.mark.parametrize("function", [convhub.conv2d, convhub.conv_transpose2d])
@pytest.mark.parametrize("backend", ["naive", "numpy", "numba", "torch"])
def test_a_result_that_no_machine_has_room_for(function, backend):
    if backend == "torch":
        pytest.importorskip("torch", reason="the backend is torch's")
    with pytest.raises(MemoryError) as caught:
        function(WIDE, W, backend=backend)
    assert not isinstance(caught.value, convhub.BackendFailedError)
    text = "".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert f"backend {backend!r}" in text
    assert "n8388608c1h1024w1024" in text


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_tensors_of_torch(backend):
    torch = pytest.importorskip("torch", reason="these are torch's")
    wide = torch.ones(1, dtype=torch.float64).expand(WIDE.shape)
    weight = torch.ones(W.shape, dtype=torch.float64)
    with pytest.raises(MemoryError):
        convhub.conv2d(wide, weight, backend=backend)


def test_torch_has_no_room_for_a_conjugate_that_it_put_off():
    torch = pytest.importorskip("torch", reason="it is torch that puts conjugates off")
    lazy = torch.ones(1, dtype=torch.complex128).expand(WIDE.shape).conj()
    with pytest.raises(MemoryError, match="operands of forward_complex128_.* could not be converted"):
        convhub.conv2d(lazy, torch.ones(W.shape, dtype=torch.complex128), backend="numpy")


@pytest.mark.parametrize(
    "body",
    [
        "raise type('OutOfMemoryError', (RuntimeError,), {})('of pebbles')",
        "raise RuntimeError('CUDA error: out of memory')",
        "raise RuntimeError('std::bad_alloc')",
        "raise RuntimeError('CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`')",
        "raise type('CUDARuntimeError', (RuntimeError,), {})('cudaErrorMemoryAllocation: out of memory')",
        "raise RuntimeError('[enforce fail] not enough memory: you tried to allocate 8 bytes.')",
    ],
)
def test_what_libraries_call_it(install, body):
    install("mine", plugin(body))
    with pytest.raises(convhub.OutOfMemoryError) as caught:
        convhub.conv2d(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)), backend="mine")
    cause = caught.value.__cause__
    assert str(caught.value) == f"{WHO} failed at {PROBLEM}: {cause}"
    assert isinstance(caught.value, MemoryError)
    assert isinstance(caught.value, type(cause))  # for those who wait for the library's own
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (convhub.OutOfMemoryError, str(caught.value))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("the kernel is larger than the image"),
        ValueError("out of memory"),
        MemoryError("of pebbles"),
        convhub.BackendFailedError("failed: out of memory"),
    ],
)
def test_other_errors_are_what_they_are(error):
    assert as_memory_error(error, "") is None


def test_an_error_that_is_not_made_of_a_text():
    class CUDAError(RuntimeError):
        def __init__(self, status):
            super().__init__(f"{status}: out of memory")

    error = as_memory_error(CUDAError(2), "mine failed")
    assert type(error) is convhub.OutOfMemoryError
    assert str(error) == "mine failed: 2: out of memory"
