"""What the tests on a GPU share: a kernel that keeps a stream busy, and arrays of small integers.

Integers are exact in every type and in any order of summing: results are compared for equality.
"""

from __future__ import annotations

import functools

import numpy as np

import convhub
from convhub.arrays import numpy_dtype

SPIN = r"""
extern "C" __global__ void spin(unsigned long long nanoseconds) {
    unsigned long long start, now;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(start));
    do asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now)); while (now - start < nanoseconds);
}
"""


@functools.cache
def _spin():
    import cupy

    return cupy.RawKernel(SPIN, "spin")


def keep_busy(seconds):
    """Enqueue a kernel on CuPy's current stream that does nothing for so long; return the event after it."""
    import cupy

    _spin()((1,), (1,), (np.uint64(seconds * 1e9),))
    return cupy.cuda.get_current_stream().record()


def adopted(stream):
    """Return a stream of torch's as one of CuPy's."""
    import cupy

    class Stream:
        def __cuda_stream__(self):
            return 0, stream.cuda_stream

    return cupy.cuda.Stream.from_external(Stream())


def small_integers(*shape, dtype="float32", seed=0):
    """Return a NumPy array whose products can be summed exactly in any type: no sum here exceeds 127."""
    return np.random.default_rng(seed).integers(0, 3, shape).astype(numpy_dtype(dtype))


def reference(x, w, g=None):
    """Return y, or the gradients for `g`, of NumPy arrays of integers, as float64 or complex128."""
    wide = np.complex128 if x.dtype.kind == "c" else np.float64
    arrays = [a.astype(wide) for a in (x, w, g) if a is not None]
    if g is None:
        return convhub.conv2d(*arrays, backend="numpy")
    return convhub.conv2d_backward(arrays[2], *arrays[:2], backend="numpy")


def assert_right(mine, right):
    """Compare an array of any library with the reference.

    torch may choose an algorithm that transforms, which is not exact; integers tell a mistake all the same.
    """
    np.testing.assert_allclose(to_numpy(mine), right, rtol=0, atol=0.01)


def to_torch(array, device="cuda"):
    """Return a tensor on a GPU with the values of a NumPy array."""
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).to(device)
    return torch.from_numpy(array).to(device)


def to_numpy(array):
    """Return the values of an array of any library, as float64 or complex128; it waits for them."""
    if hasattr(array, "get"):
        array = array.get()
    elif hasattr(array, "detach"):
        import torch

        array = array.detach().cpu()
        array = (array.float() if array.dtype is torch.bfloat16 else array).numpy()
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
