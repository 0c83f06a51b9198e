"""Torch's CUDA tensors as CuPy's arrays and back, where there is no GPU.

Both libraries' own arrays are used, over memory of the host: neither looks into it to make one of the other.
Devices and streams, which need a driver, are played by what notes that they are entered.
"""

from __future__ import annotations

import contextlib
import types
import weakref

import numpy as np
import pytest

pytest.importorskip("torch", reason="one of the two libraries that exchange arrays")
pytest.importorskip("cupy", reason="one of the two libraries that exchange arrays")
pytest.importorskip("ml_dtypes", reason="bfloat16 is one of the types under test")

import cupy
import torch
from support import toy_backend

import convhub
from convhub import arrays, plugins
from convhub.arrays import cuda_exchange
from convhub.backend import Backend, Capabilities, hookimpl

DTYPES = (
    *("bfloat16", "float16", "float32", "float64", "complex64", "complex128"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)


class OnGpu(torch.Tensor):
    """A tensor that says it were on a GPU."""

    device = property(lambda _: torch.device("cuda", 1))


@pytest.fixture(autouse=True)
def _taken_for_torchs_own(monkeypatch):
    """Let the class above pass for one of torch's own, which alone are taken."""
    from convhub.arrays import tensor_kinds as kinds

    monkeypatch.setattr(kinds, "PLAIN", (*kinds.PLAIN, OnGpu))
    monkeypatch.setattr(arrays.info, "_PLAIN_TENSORS", (*kinds.PLAIN, OnGpu))


def on_gpu(tensor):
    return tensor.as_subclass(OnGpu)


def seen(array):
    """Return what lies where a CuPy array does, in memory of the host, as a NumPy array."""
    view = np.lib.stride_tricks.as_strided(np.empty(0, array.dtype), array.shape, array.strides)
    interface = {**view.__array_interface__, "data": (array.data.ptr, False)}
    memory = types.SimpleNamespace(__array_interface__={**interface, "typestr": f"|V{array.itemsize}"})
    return np.asarray(memory).view(array.dtype) if array.size else view


@pytest.fixture
def entered(monkeypatch):
    """Let devices and streams be entered, and note it in order: (what, which, entered or left)."""
    notes = []

    class Entered:
        def __init__(self, what, which):
            self.note = what, which

        def __enter__(self):
            notes.append((*self.note, "entered"))

        def __exit__(self, *_):
            notes.append((*self.note, "left"))

    class Stream:
        ptr = 0xC0

        @staticmethod
        def from_external(stream):
            version, address = stream.__cuda_stream__()
            assert (version, type(address)) == (0, int)
            return Entered("cupy stream", address)

    real = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *a, device=None, **k: on_gpu(real(*a, **k)))
    monkeypatch.setattr(
        torch.cuda, "current_stream", lambda d: types.SimpleNamespace(cuda_stream=0xA0 + d.index)
    )
    monkeypatch.setattr(torch.cuda, "default_stream", lambda d: ("default", d))
    monkeypatch.setattr(torch.cuda, "ExternalStream", lambda pointer, device: (pointer, device))
    monkeypatch.setattr(torch.cuda, "device", lambda d: Entered("torch device", d))
    monkeypatch.setattr(torch.cuda, "stream", lambda s: Entered("torch stream", s))
    monkeypatch.setattr(cupy.cuda, "Device", lambda d: Entered("cupy device", d))
    monkeypatch.setattr(cupy.cuda, "Stream", Stream)
    monkeypatch.setattr(cupy.cuda, "get_current_stream", lambda d: Stream)
    return notes


# --- from torch to CuPy --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_goes_over_and_back_in_one_memory(dtype):
    tensor = on_gpu(torch.arange(24).reshape(2, 3, 4).to(getattr(torch, dtype)))
    array = cuda_exchange.torch_to_cupy(tensor)
    assert type(array) is cupy.ndarray
    assert (array.shape, array.dtype.name, array.device.id) == ((2, 3, 4), dtype, 1)
    assert array.data.ptr == tensor.data_ptr()
    assert array.flags.c_contiguous
    assert seen(array).ravel().astype("D").tolist() == list(range(24))
    back = cuda_exchange.cupy_to_torch(array)
    assert back.data_ptr() == tensor.data_ptr()
    assert (back.shape, back.dtype) == (tensor.shape, tensor.dtype)
    assert not back._is_view()


VIEWS = {
    "transposed": lambda t: t.permute(2, 0, 1),
    "strided": lambda t: t[::2, 1:, ::3],
    "broadcast": lambda t: t[:1].expand(5, 3, 4),
    "one element": lambda t: t[1:, 2:, 3:],
    "no dimension": lambda t: t[1, 2, 3],
    "empty": lambda t: t[:, :0],
    "empty within": lambda t: t[2:2, 1:],
    "empty from nothing": lambda t: torch.empty(0, 3)[:, 1:],
    "empty of four": lambda t: torch.empty(2, 0, 3, 4),
}


@pytest.mark.parametrize("view", VIEWS)
def test_views_keep_their_strides(view):
    tensor = VIEWS[view](torch.arange(24.0).reshape(2, 3, 4))
    array = cuda_exchange.torch_to_cupy(on_gpu(tensor))
    np.testing.assert_array_equal(seen(array), tensor.numpy())
    assert array.strides == tuple(4 * step for step in tensor.stride())


def test_what_is_lazy_or_wants_a_gradient_is_made_plain():
    tensor = torch.tensor([1 + 2j, 3 - 1j], requires_grad=True)
    for lazy, plain in ((tensor, [1 + 2j, 3 - 1j]), (tensor.conj(), [1 - 2j, 3 + 1j])):
        assert seen(cuda_exchange.torch_to_cupy(on_gpu(lazy))).tolist() == plain
    negative = tensor.detach().conj().imag
    assert negative.is_neg()
    assert seen(cuda_exchange.torch_to_cupy(on_gpu(negative))).tolist() == [-2, 1]


def test_an_array_keeps_the_tensors_memory():
    tensor = torch.full((1000,), 7.0)
    storage = weakref.ref(tensor.untyped_storage())
    array = cuda_exchange.torch_to_cupy(on_gpu(tensor))
    part = array[5:]
    del tensor, array
    assert storage() is not None
    assert (seen(part) == 7).all()


# --- from CuPy to torch --------------------------------------------------------------------------------


def test_memory_that_torch_lent_comes_back_as_a_tensor_of_its_own(entered):
    tensor = on_gpu(torch.ones(3))
    with cuda_exchange.one_stream("torch", tensor):
        array = cupy.empty((4, 5), np.float32)
        assert cupy.empty((0, 5), np.float32).shape == (0, 5)
    seen(array)[...] = np.arange(20).reshape(4, 5)
    whole = cuda_exchange.cupy_to_torch(array)
    assert whole.data_ptr() == array.data.ptr == whole.untyped_storage().data_ptr()
    assert whole.untyped_storage().nbytes() == 80
    del array
    assert whole.tolist() == np.arange(20.0).reshape(4, 5).tolist()


def test_a_part_of_lent_memory_comes_back_as_that_part(entered):
    with cuda_exchange.one_stream("torch", on_gpu(torch.ones(3))):
        memory = cupy.empty(100, np.uint8)
    seen(memory)[...] = np.arange(100)
    part = cupy.ndarray((3, 4), np.int16, memory.data + 10, (20, 4))
    tensor = cuda_exchange.cupy_to_torch(part)
    assert (tensor.data_ptr(), tensor.stride()) == (part.data.ptr, (10, 2))
    np.testing.assert_array_equal(tensor.numpy(), seen(part))


def test_empty_arrays_come_back_empty(entered):
    nowhere = cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(0, 0, None, 1), 0)
    for dtype in ("bfloat16", "float32"):
        array = cupy.ndarray((2, 0, 3), arrays.numpy_dtype(dtype), nowhere)
        tensor = cuda_exchange.cupy_to_torch(array)
        assert (tuple(tensor.shape), tensor.dtype) == ((2, 0, 3), getattr(torch, dtype))


def test_other_memory_is_shared_by_dlpack_without_an_event(monkeypatch):
    """CuPy would ask the driver for its stream: what it is asked for is noted, and torch's part played."""
    asked = []

    class Array:
        size, itemsize, strides, shape, dtype = 6, 4, (-12, 4), (2, 3), np.dtype("f4")
        device = contextlib.nullcontext()
        device.id = 1
        data = types.SimpleNamespace(mem=None)

        def __dlpack__(self, *, stream):
            asked.append((self.strides, stream))
            return "capsule"

    class Copied(Array):
        strides = (12, 4)

    monkeypatch.setattr(cupy, "ascontiguousarray", lambda _: Copied())
    monkeypatch.setattr(torch.utils.dlpack, "from_dlpack", lambda capsule: capsule)
    assert cuda_exchange.cupy_to_torch(Copied()) == "capsule"
    assert cuda_exchange.cupy_to_torch(Array()) == "capsule"  # torch knows no negative strides
    assert asked == [((12, 4), -1), ((12, 4), -1)]


# --- one stream ----------------------------------------------------------------------------------------


def test_cupy_works_on_torchs_stream_and_device_with_torchs_memory(entered):
    before = cupy.cuda.get_allocator()
    with pytest.raises(KeyError), cuda_exchange.one_stream("torch", on_gpu(torch.ones(3))):
        assert cupy.cuda.get_allocator() != before
        entered.append("inside")
        raise KeyError
    assert cupy.cuda.get_allocator() == before
    assert entered == [
        ("cupy device", 1, "entered"),
        ("cupy stream", 0xA1, "entered"),
        "inside",
        ("cupy stream", 0xA1, "left"),
        ("cupy device", 1, "left"),
    ]


def test_torchs_default_stream_is_named_so_that_no_threads_own_is_meant(entered, monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: types.SimpleNamespace(cuda_stream=0))
    with cuda_exchange.one_stream("torch", on_gpu(torch.ones(3))):
        assert entered[-1] == ("cupy stream", 1, "entered")


@pytest.mark.parametrize(
    ("pointer", "stream"), [(0xC0, (0xC0, 1)), (0, ("default", 1)), (1, ("default", 1)), (2, (2, 1))]
)
def test_torch_works_on_cupys_stream_and_device(entered, monkeypatch, pointer, stream):
    monkeypatch.setattr(cupy.cuda.Stream, "ptr", pointer)
    array = cuda_exchange.torch_to_cupy(on_gpu(torch.ones(3)))
    with cuda_exchange.one_stream("cupy", array):
        assert entered == [("torch device", 1, "entered"), ("torch stream", stream, "entered")]


def test_no_memory_left_is_a_memory_error_for_cupys_callers(entered, monkeypatch):
    def nothing_left(*_, **__):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 80 bytes")

    monkeypatch.setattr(torch, "empty", nothing_left)
    with (
        cuda_exchange.one_stream("torch", on_gpu(torch.ones(3))),
        pytest.raises(MemoryError, match="Tried to allocate 80 bytes"),
    ):
        cupy.empty((4, 5), np.float32)


# --- the whole way -------------------------------------------------------------------------------------


def backend_of(library, convert_in, convert_out):
    """Return a backend on one library's CUDA arrays, which computes by the toy backend on their memory."""

    def on_host(function):
        def run(*arguments):
            *operands, problem, options = arguments
            given = [None if o is None else convert_in(o) for o in operands]
            return convert_out(np.ascontiguousarray(function(*given, problem, options)))

        return run

    primitives = (toy_backend.forward, toy_backend.grad_input, toy_backend.grad_weight)
    capabilities = Capabilities(dtypes=("float64",), devices=("cuda",), arrays=library)
    return Backend("played", capabilities, *map(on_host, primitives), preference={"cuda": 100})


@contextlib.contextmanager
def registered(backend):
    plugins.register(types.SimpleNamespace(convhub_backends=hookimpl(lambda: [backend])), "played")
    try:
        yield
    finally:
        plugins.unregister("played")


def to_cupy(result):
    array = cupy.empty(result.shape, result.dtype)
    seen(array)[...] = result
    return array


def tensors():
    make = np.random.default_rng(3).standard_normal
    return [on_gpu(torch.from_numpy(make(shape))) for shape in ((2, 3, 5, 6), (4, 3, 3, 2), (2, 4, 3, 5))]


def expected():
    x, w, g = [tensor.numpy() for tensor in tensors()]
    with registered(toy_backend.toy):
        return convhub.conv2d(x, w, backend="toy"), *convhub.conv2d_backward(g, x, w, backend="toy")


def test_tensors_through_a_backend_of_cupys(entered):
    x, w, g = tensors()
    with registered(backend_of("cupy", seen, to_cupy)):
        result = convhub.conv2d(x, w)
        gradients = convhub.conv2d_backward(g, x, w, output_mask=(True, True, False))
    for mine, right in zip((result, *gradients), expected(), strict=True):
        if mine is not None:
            np.testing.assert_allclose(mine.numpy(), right, rtol=1e-12)
            assert mine.is_contiguous()
    assert [note for note in entered if note[0].startswith("cupy")] == 3 * [
        ("cupy device", 1, "entered"),
        ("cupy stream", 0xA1, "entered"),
        ("cupy stream", 0xA1, "left"),
        ("cupy device", 1, "left"),
    ]


def test_cupy_arrays_through_a_backend_of_torchs(entered):
    x, w, _ = map(cuda_exchange.torch_to_cupy, tensors())
    backend = backend_of("torch", lambda t: t.numpy(), lambda a: on_gpu(torch.from_numpy(a)))
    with registered(backend):
        result = convhub.conv2d(x, w)
    assert type(result) is cupy.ndarray
    assert result.device.id == 1
    np.testing.assert_allclose(seen(result), expected()[0], rtol=1e-12)
    assert ("torch stream", (0xC0, 1), "entered") in entered


def test_a_result_in_an_operands_memory_is_seen_through_a_view(entered):
    x = on_gpu(torch.ones(2, 1, 4, 4, dtype=torch.float64))[1:]
    w = on_gpu(torch.ones(1, 1, 1, 1, dtype=torch.float64))
    backend = Backend(
        "played",
        Capabilities(dtypes=("float64",), devices=("cuda",), arrays="cupy"),
        lambda x, w, bias, problem, options: x[:, :, ::1],
        preference={"cuda": 100},
    )
    with (
        registered(backend),
        pytest.raises(convhub.BackendContractError, match="memory of one of its operands"),
    ):
        convhub.conv2d(x, w)
