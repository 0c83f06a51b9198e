"""Work goes to the caller's stream, and the call comes back before the device has begun it."""

import numpy as np
import pytest

import convhub

from .on_device import adopted, assert_right, keep_busy, reference, small_integers, to_numpy, to_torch

#: Far longer than a call takes, on the host and on the device.
SECONDS = 0.5

X, W, G = small_integers(2, 3, 9, 8), small_integers(4, 3, 3, 2, seed=1), small_integers(2, 4, 7, 7, seed=2)


@pytest.mark.parametrize("backend", ["cupy", "torch"])
@pytest.mark.parametrize("kind", ["default", "blocking", "non-blocking"])
def test_cupy_arrays(backend, kind):
    import cupy

    made = {
        "default": lambda: cupy.cuda.Stream.null,
        "blocking": cupy.cuda.Stream,
        "non-blocking": lambda: cupy.cuda.Stream(non_blocking=True),
    }[kind]()
    w, g, later = cupy.asarray(W), cupy.asarray(G), cupy.asarray(X)
    x = cupy.zeros_like(later)
    cupy.cuda.Device().synchronize()
    with made:
        for _ in range(2):  # the first one compiles, and leaves memory in the pools
            x.fill(0)
            busy = keep_busy(SECONDS)
            x += later  # seen by what comes after it on this stream, and by nobody else for half a second
            y = convhub.conv2d(x, w, backend=backend)
            gradients = convhub.conv2d_backward(g, x, w, backend=backend)
            waited = busy.done
            results = [to_numpy(a) for a in (y, *gradients)]
            del y, gradients
    assert not waited, "the calls came back only after the stream was idle"
    for mine, right in zip(results, (reference(X, W), *reference(X, W, G)), strict=True):
        assert_right(mine, right)


@pytest.mark.parametrize("backend", ["cupy", "torch"])
@pytest.mark.parametrize("kind", ["default", "another"])
def test_tensors(backend, kind):
    import torch

    stream = torch.cuda.default_stream() if kind == "default" else torch.cuda.Stream()
    w, g, later = to_torch(W).requires_grad_(), to_torch(G), to_torch(X)
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        for _ in range(2):
            x = torch.zeros_like(later)
            with adopted(stream):
                busy = keep_busy(SECONDS)
            x += later
            x.requires_grad_()
            y = convhub.conv2d(x, w, backend=backend)
            gradients = torch.autograd.grad(y, (x, w), g)
            waited = busy.done
            results = [to_numpy(a) for a in (y, *gradients)]
            del x, y, gradients
    assert not waited, "the calls came back only after the stream was idle"
    dx, dw, _ = reference(X, W, G)
    for mine, right in zip(results, (reference(X, W), dx, dw), strict=True):
        assert_right(mine, right)


def test_cupys_own_stream_is_as_it_was_after_a_call_with_tensors():
    import cupy
    import torch

    stream = cupy.cuda.Stream(non_blocking=True)
    allocator = cupy.cuda.get_allocator()
    with stream:
        with torch.cuda.stream(torch.cuda.Stream()):
            convhub.conv2d(to_torch(X), to_torch(W), backend="cupy")
        assert cupy.cuda.get_current_stream() == stream
        assert cupy.cuda.get_allocator() == allocator


def test_threads_each_on_a_stream_of_their_own():
    import threading

    import torch

    results = {}

    def work(number):
        with torch.cuda.stream(torch.cuda.Stream()):
            x, w = to_torch(X) * number, to_torch(W)
            for _ in range(20):
                y = convhub.conv2d(x, w, backend="cupy")
            results[number] = to_numpy(y)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(1, 5):
        np.testing.assert_array_equal(results[number], number * reference(X, W))
