"""The engine's own way of writing code for elements and integers gives what Python gives."""

import numpy as np
import pytest
from convhub_numba import jit
from convhub_numba.runtime.compile import compiled
from numba import types


def run(function, *arguments):
    kinds = [types.int64 if isinstance(each, int) else array_type(each) for each in arguments]
    return compiled(function, *kinds)(*arguments)


def array_type(array):
    dtype = types.int64 if array.dtype == np.int64 else types.float32
    return types.Array(dtype, array.ndim, "C" if array.ndim == 1 else "A")


@jit.entry()
def arithmetic(a, b, out):
    out[0] = a + b
    out[1] = a - b
    out[2] = a * b
    c = a
    c += b
    out[3] = c
    c -= 2 * b
    out[4] = c
    c *= b
    out[5] = c
    out[6] = a // b
    out[7] = a % b
    out[8] = min(a, b)
    out[9] = max(a, b)
    out[10] = (a < b) + 2 * (a <= b) + 4 * (a > b) + 8 * (a >= b) + 16 * (a == b) + 32 * (a != b)
    out[11] = min(a, 3) - max(-2, b)
    out[-1] = a if a > b else b


@pytest.mark.parametrize("a", [-7, -1, 0, 5, 2**40])
@pytest.mark.parametrize("b", [-3, -1, 1, 5, 2**20 + 1])
def test_arithmetic_of_integers_is_pythons(a, b):
    out = np.zeros(13, np.int64)
    run(arithmetic, a, b, out)
    c = (a - b) * b
    order = (a < b) + 2 * (a <= b) + 4 * (a > b) + 8 * (a >= b) + 16 * (a == b) + 32 * (a != b)
    expected = [a + b, a - b, a * b, a + b, a - b, c, a // b, a % b, min(a, b), max(a, b), order,
                min(a, 3) - max(-2, b), max(a, b)]  # fmt: skip
    assert out.tolist() == expected


@jit.entry()
def copy_4(out, source):
    k = 0
    for n in range(source.shape[0]):
        for c in range(source.shape[1]):
            for h in range(source.shape[2]):
                for w in range(source.shape[3]):
                    out[k] = source[n, c, h, w]
                    k += 1


@jit.entry()
def fill_2(out, value):
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = value + 10 * i + j
            out[i, j] += 1


VIEWS = {
    "contiguous": lambda a: a,
    "reversed": lambda a: a[::-1, :, ::-1, ::-1],
    "transposed": lambda a: a.transpose(2, 1, 0, 3),
    "every second": lambda a: a[:, :, :, ::2],
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_elements_of_any_strides_are_read(view):
    source = view(np.arange(3 * 4 * 5 * 6, dtype=np.float32).reshape(3, 4, 5, 6))
    out = np.zeros(source.size, np.float32)
    run(copy_4, out, source)
    assert np.array_equal(out, source.ravel())


@pytest.mark.parametrize("step", [1, -1, 2])
def test_elements_of_any_strides_are_written(step):
    whole = np.zeros((6, 8), np.float32)
    run(fill_2, whole[::step, ::-step], 3)
    i, j = np.indices(whole[::step, ::-step].shape)
    assert np.array_equal(whole[::step, ::-step], 4 + 10 * i + j)
    assert np.count_nonzero(whole) == i.size
