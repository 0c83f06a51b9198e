"""Torch's tensors through a backend of CuPy's, and the reverse: every type, every view, one memory."""

import gc

import numpy as np
import pytest

import convhub
from convhub.arrays import cuda_exchange, numpy_dtype

from .on_device import adopted, assert_right, keep_busy, reference, small_integers, to_numpy, to_torch

FLOATING = ("bfloat16", "float16", "float32", "float64", "complex64", "complex128")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def arrays_of(dtype):
    return (
        small_integers(2, 2, 5, 6, dtype=dtype),
        small_integers(4, 2, 3, 2, dtype=dtype, seed=1),
        small_integers(2, 4, 3, 5, dtype=dtype, seed=2),
    )


@pytest.mark.parametrize("dtype", FLOATING + INTEGERS)
def test_tensors_of_every_type_through_cupys_backend(dtype):
    x, w, g = arrays_of(dtype)
    tensors = [to_torch(a) for a in (x, w, g)]
    y = convhub.conv2d(*tensors[:2], backend="cupy")
    assert (y.dtype, y.device) == (tensors[0].dtype, tensors[0].device)
    assert y.is_contiguous()
    np.testing.assert_array_equal(to_numpy(y), reference(x, w))
    gradients = convhub.conv2d_backward(tensors[2], *tensors[:2], backend="cupy")
    for mine, right in zip(gradients, reference(x, w, g), strict=True):
        assert mine.dtype == tensors[0].dtype
        np.testing.assert_array_equal(to_numpy(mine), right)


@pytest.mark.parametrize("dtype", FLOATING)
def test_cupy_arrays_of_every_type_through_torchs_backend(dtype):
    import cupy

    x, w, g = arrays_of(dtype)
    given = [cupy.asarray(a) for a in (x, w, g)]
    y = convhub.conv2d(*given[:2], backend="torch")
    assert type(y) is cupy.ndarray
    assert y.dtype == numpy_dtype(dtype)
    assert_right(y, reference(x, w))
    gradients = convhub.conv2d_backward(given[2], *given[:2], backend="torch")
    for mine, right in zip(gradients, reference(x, w, g), strict=True):
        assert_right(mine, right)


@pytest.mark.parametrize("dtype", FLOATING + INTEGERS)
def test_memory_of_cupys_pool_is_shared_and_kept(dtype):
    import cupy

    array = cupy.asarray(small_integers(500, 7, dtype=dtype))
    tensor = cuda_exchange.cupy_to_torch(array)
    assert (tensor.data_ptr(), tuple(tensor.shape)) == (array.data.ptr, array.shape)
    assert str(tensor.dtype) == f"torch.{dtype}"
    expected = to_numpy(array)
    del array
    gc.collect()
    others = [cupy.zeros((500, 7), numpy_dtype(dtype)) for _ in range(5)]
    np.testing.assert_array_equal(to_numpy(tensor), expected)
    del others


VIEWS = {
    "reversed": lambda a: a[:, ::-1, ::-1],
    "reversed all over": lambda a: a[::-1, ::-1, ::-1, ::-1],
    "strided": lambda a: a.repeat(2, 2).repeat(3, 3)[:, :, ::2, ::3],
    "transposed": lambda a: a.transpose(3, 2, 1, 0).copy().transpose(3, 2, 1, 0),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("backend", ["cupy", "torch"])
def test_views_of_cupy_arrays(view, backend):
    import cupy

    x, w, _ = arrays_of("float32")
    given = VIEWS[view](cupy.asarray(x)), VIEWS[view](cupy.asarray(w))
    expected = reference(given[0].get(), given[1].get())
    assert_right(convhub.conv2d(*given, backend=backend), expected)


def test_views_of_tensors():
    x, w, _ = arrays_of("float32")
    whole = to_torch(np.repeat(np.repeat(x, 2, 2), 3, 3))
    views = (whole[:, :, ::2, ::3], to_torch(x).permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0))
    for view in (*views, to_torch(x)[:1].expand(2, 2, 5, 6)):
        y = convhub.conv2d(view, to_torch(w), backend="cupy")
        np.testing.assert_array_equal(to_numpy(y), reference(to_numpy(view).astype("f4"), w))


def test_lazy_conjugates_and_negatives():
    import torch

    x, w, _ = arrays_of("complex64")
    x, w = x * (1 + 2j), w * (2 - 1j)
    y = convhub.conv2d(to_torch(x).conj(), to_torch(w), backend="cupy")
    np.testing.assert_array_equal(to_numpy(y), reference(x.conj(), w))
    negative = to_torch(x).conj().imag
    assert negative.is_neg()
    y = convhub.conv2d(negative, to_torch(w).real.clone(), backend="cupy")
    np.testing.assert_array_equal(to_numpy(y), reference(-x.imag, w.real))
    assert y.dtype is torch.float32


@pytest.mark.parametrize("backend", ["cupy", "torch"])
def test_no_images(backend):
    import cupy
    import torch

    x, w, _ = arrays_of("float32")
    assert convhub.conv2d(to_torch(x)[:0], to_torch(w), backend=backend).shape == (0, 4, 3, 5)
    assert convhub.conv2d(cupy.asarray(x)[:0], cupy.asarray(w), backend=backend).shape == (0, 4, 3, 5)
    g = torch.zeros(0, 4, 3, 5, device="cuda")
    empty = convhub.conv2d_backward(g, to_torch(x)[:0], to_torch(w), backend=backend)
    assert empty.input.shape == (0, 2, 5, 6)
    assert to_numpy(empty.weight).tolist() == np.zeros((4, 2, 3, 2)).tolist()


def test_autograd_through_cupys_backend():
    import torch

    x, w, g = (to_torch(a) for a in arrays_of("float64"))
    bias = torch.ones(4, dtype=torch.float64, device="cuda")
    leaves = [a.requires_grad_() for a in (x, w, bias)]
    mine = torch.autograd.grad(convhub.conv2d(x, w, bias, backend="cupy"), leaves, g)
    right = torch.autograd.grad(torch.nn.functional.conv2d(x, w, bias), leaves, g)
    for one, other in zip(mine, right, strict=True):
        torch.testing.assert_close(one, other)


def test_a_result_is_torchs_own_memory():
    import torch

    x, w = to_torch(small_integers(8, 16, 64, 64)), to_torch(small_integers(32, 16, 1, 1))
    convhub.conv2d(x, w, backend="cupy")
    before = torch.cuda.memory_allocated()
    y = convhub.conv2d(x, w, backend="cupy")
    assert torch.cuda.memory_allocated() - before == y.nbytes
    assert y.untyped_storage().nbytes() == y.nbytes
    del y
    assert torch.cuda.memory_allocated() == before


def test_memory_recorded_on_another_stream_is_not_given_away_under_it():
    import cupy
    import torch

    x, w = to_torch(small_integers(4, 8, 64, 64)), to_torch(small_integers(16, 8, 1, 1))
    expected = to_numpy(convhub.conv2d(x, w, backend="cupy"))
    side = torch.cuda.Stream()
    y = convhub.conv2d(x, w, backend="cupy")
    address = y.data_ptr()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        with adopted(side):
            keep_busy(0.3)
        kept = y.clone()
    y.record_stream(side)
    shape = y.shape
    del y
    others = [torch.zeros(shape, device="cuda") for _ in range(4)]
    assert address not in [other.data_ptr() for other in others]
    np.testing.assert_array_equal(to_numpy(kept), expected)
    assert cupy.cuda.get_current_stream() == cupy.cuda.Stream.null


def test_bias_gradients_of_narrow_types():
    import cupy

    for dtype in ("bfloat16", "float16"):
        g = cupy.ones((4, 3, 8, 8), numpy_dtype(dtype))
        x, w = cupy.ones((4, 1, 8, 8), g.dtype), cupy.ones((3, 1, 1, 1), g.dtype)
        gradients = convhub.conv2d_backward(g, x, w, backend="cupy")
        assert gradients.bias.dtype == g.dtype
        assert to_numpy(gradients.bias).tolist() == [256.0] * 3
