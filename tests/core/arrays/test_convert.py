"""Arrays of three libraries in and out, without copies."""

from __future__ import annotations

import sys
import types
import warnings

import numpy as np
import pytest

import convhub
from convhub import arrays


def rng(*shape, dtype="f8"):
    return np.random.default_rng(3).standard_normal(shape).astype(dtype)


VIEWS = {
    "reversed": lambda a: a[:, ::-1, ::-1],
    "fortran": np.asfortranarray,
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
    "strided": lambda a: np.repeat(np.repeat(a, 2, 2), 3, 3)[:, :, ::2, ::3],
    "transposed": lambda a: np.ascontiguousarray(a.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1),
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
    "of a record": lambda a: np.array([(0, 0)], [("b", "i1"), ("a", a.dtype, a.shape)])["a"][0] + a,
}


def read_only(array):
    view = array.view()
    view.flags.writeable = False
    return view


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("backend", ["naive", "numpy", "numba", "torch", "toy"])
def test_views_of_any_strides_are_right_and_never_changed(view, backend, toy):
    if backend == "torch":
        pytest.importorskip("torch")
    x, w, g = VIEWS[view](rng(2, 4, 7, 6)), VIEWS[view](rng(6, 2, 3, 2)), VIEWS[view](rng(2, 6, 5, 5))
    plain = [np.ascontiguousarray(a) for a in (x, w, g)]
    before = [a.copy() for a in plain]
    given = [read_only(a) for a in (x, w, g)]
    expected = convhub.conv2d(plain[0], plain[1], groups=2, backend="toy")
    wanted = convhub.conv2d_backward(plain[2], plain[0], plain[1], groups=2, backend="toy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = convhub.conv2d(given[0], given[1], groups=2, backend=backend)
        gradients = convhub.conv2d_backward(given[2], given[0], given[1], groups=2, backend=backend)
    for mine, right in zip((result, *gradients), (expected, *wanted), strict=True):
        np.testing.assert_allclose(mine, right, rtol=1e-12, atol=1e-12)
    for now, then in zip((x, w, g), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_subclasses_come_back_as_plain_arrays(tmp_path, toy):
    mapped = np.memmap(tmp_path / "x", "f8", "w+", shape=(1, 1, 4, 4))
    assert type(convhub.conv2d(mapped, np.ones((1, 1, 3, 3)), backend=toy)) is np.ndarray


def test_backends_see_plain_arrays(toy):
    class Odd(np.ndarray):
        def __mul__(self, other):
            raise AssertionError("a subclass reached a backend")

        __rmul__ = __add__ = __radd__ = __mul__

    x, w, g = rng(1, 1, 4, 4).view(Odd), rng(1, 1, 3, 3).view(Odd), rng(1, 1, 2, 2).view(Odd)
    for backend in ("naive", "numpy", "toy"):
        assert type(convhub.conv2d(x, w, backend=backend)) is np.ndarray
        for gradient in convhub.conv2d_backward(g, x, w, backend=backend):
            assert type(gradient) is np.ndarray


def test_results_own_their_memory(toy):
    x, w = rng(1, 4, 4), rng(1, 1, 1, 1)
    for backend in ("toy", "numpy", "naive"):
        result = convhub.conv2d(x, w, backend=backend)
        assert not np.may_share_memory(result, x)
        assert result.flags.writeable


class TestTorch:
    @pytest.fixture(autouse=True)
    def _torch(self):
        self.torch = pytest.importorskip("torch")

    def test_memory_is_shared_both_ways(self):
        tensor = self.torch.arange(6.0)
        array = arrays.converter("torch", "numpy")(tensor)
        array[2] = 50
        assert tensor[2] == 50
        back = arrays.converter("numpy", "torch")(array)
        assert back.data_ptr() == tensor.data_ptr()

    @pytest.mark.parametrize(
        "name", ["float16", "bfloat16", "float32", "float64", "complex64", "int8", "uint8", "int64"]
    )
    def test_every_dtype_goes_over_and_back(self, name):
        tensor = self.torch.arange(6).to(getattr(self.torch, name))
        array = arrays.converter("torch", "numpy")(tensor)
        assert arrays.array_info("x", array).dtype == name
        back = arrays.converter("numpy", "torch")(array)
        assert back.dtype == tensor.dtype
        assert back.data_ptr() == tensor.data_ptr()
        assert self.torch.equal(back, tensor)

    def test_lazy_conjugates_are_resolved(self):
        tensor = self.torch.tensor([1 + 2j]).conj()
        assert arrays.converter("torch", "numpy")(tensor)[0] == 1 - 2j
        assert arrays.converter("torch", "numpy")(tensor.imag)[0] == -2

    @pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
    def test_read_only_arrays_are_shared_without_a_warning(self, dtype):
        array = read_only(np.arange(4.0).astype(arrays.numpy_dtype(dtype)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tensor = arrays.converter("numpy", "torch")(array)
        assert tensor.data_ptr() == array.ctypes.data
        assert tensor.dtype is getattr(self.torch, dtype)
        del array
        assert tensor.tolist() == [0, 1, 2, 3]

    def test_what_comes_out_is_a_tensor_of_the_same_dtype(self, toy):
        x, w = self.torch.ones(1, 1, 4, 4), self.torch.ones(2, 1, 3, 3)
        result = convhub.conv2d(x, w, self.torch.tensor([0.0, 1.0]), backend=toy)
        assert type(result) is self.torch.Tensor
        assert result.dtype is self.torch.float32
        assert not result.requires_grad
        assert result[0, :, 0, 0].tolist() == [9.0, 10.0]

    def test_parameters_are_tensors(self, toy):
        weight = self.torch.nn.Parameter(self.torch.ones(1, 1, 2, 2))
        result = convhub.conv2d(self.torch.ones(1, 3, 3), weight, backend=toy)
        result.sum().backward()
        assert weight.grad.tolist() == [[[[4.0, 4.0], [4.0, 4.0]]]]

    def test_mixed_devices_are_named(self):
        x = self.torch.ones(1, 1, 4, 4)
        info = arrays.array_info("x", x)._replace(device="cuda:1")
        with pytest.MonkeyPatch.context() as patch:
            real = arrays.array_info
            patch.setattr(
                arrays.info, "array_info", lambda name, a: info if name == "weight" else real(name, a)
            )
            with pytest.raises(
                convhub.MixedArraysError, match="weight .* has device cuda:1, but input .* cpu"
            ):
                convhub.conv2d(x, self.torch.ones(1, 1, 3, 3))


class FakeDevice:
    """A device of CuPy's, which notes whether it is the current one."""

    def __init__(self, number):
        self.id, self.current = number, False

    def __enter__(self):
        self.current = True

    def __exit__(self, *_):
        self.current = False


class FakeCupyArray:
    """As much of a cupy.ndarray as convhub looks at, over NumPy memory."""

    def __init__(self, array, device=0):
        self.array = array
        self.shape, self.dtype = array.shape, array.dtype
        self.strides, self.itemsize = array.strides, array.itemsize
        self.device = device if isinstance(device, FakeDevice) else FakeDevice(device)
        self.size = array.size
        self.flags = array.flags
        self.data = types.SimpleNamespace(mem=types.SimpleNamespace(ptr=array.ctypes.data))

    def __getitem__(self, key):
        return FakeCupyArray(self.array[key], self.device)

    def __add__(self, other):
        assert self.device.current
        return FakeCupyArray(self.array + other.array, self.device)

    def conj(self):
        assert self.device.current
        return FakeCupyArray(self.array.conj(), self.device.id)

    def sum(self, axis, dtype):
        assert self.device.current
        return FakeCupyArray(self.array.sum(axis=axis, dtype=dtype), self.device)

    def astype(self, dtype, copy):
        return FakeCupyArray(self.array.astype(dtype, copy=copy), self.device.id)


@pytest.fixture
def cupy(monkeypatch):
    """Plant a cupy made of NumPy, and a backend for it; this is how far one comes without a GPU."""
    from support import toy_backend

    from convhub import plugins
    from convhub.backend import Backend, Capabilities, hookimpl

    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(ndarray=FakeCupyArray))

    def on_fake(function):
        def run(*arguments):
            plain = [a.array if isinstance(a, FakeCupyArray) else a for a in arguments]
            return FakeCupyArray(function(*plain))

        return run

    primitives = (toy_backend.forward, toy_backend.grad_input, toy_backend.grad_weight)
    backend = Backend(
        "fakecuda",
        Capabilities(dtypes=("float64",), devices=("cuda",), arrays="cupy"),
        *map(on_fake, primitives),
        preference={"cuda": 100},
    )
    plugin = types.SimpleNamespace(convhub_backends=hookimpl(lambda: [backend]))
    plugins.register(plugin, "fakecuda")
    yield FakeCupyArray
    plugins.unregister("fakecuda")


def test_cupy_arrays_go_the_whole_way(cupy, toy):
    x, w, b, g = rng(2, 3, 5, 6), rng(4, 3, 3, 2), rng(4), rng(2, 4, 3, 5)
    result = convhub.conv2d(cupy(x), cupy(w), cupy(b))
    assert isinstance(result, FakeCupyArray)
    np.testing.assert_array_equal(result.array, convhub.conv2d(x, w, b, backend=toy))
    gradients = convhub.conv2d_backward(cupy(g), cupy(x), cupy(w))
    for mine, right in zip(gradients, convhub.conv2d_backward(g, x, w, backend=toy), strict=True):
        np.testing.assert_allclose(mine.array, right)
    assert convhub.conv2d(cupy(x[0]), cupy(w)).shape == (4, 3, 5)


def test_cupy_arrays_are_conjugated_on_their_device(cupy):
    array = cupy(np.array([1 + 2j]), device=1)
    assert arrays.conjugate(array).array.tolist() == [1 - 2j]
    assert arrays.conjugate(array).device.id == 1
    real = cupy(np.ones(1))
    assert arrays.conjugate(real) is real


def test_cupy_arrays_are_summed_in_blocks_on_their_device(cupy, monkeypatch):
    monkeypatch.setattr(arrays.sums, "ON_A_GPU", 1000)
    array = np.full((20_000, 3, 2, 2), 0.1)
    total = arrays.channel_sum(cupy(array, device=1)).array
    assert abs(total / (80_000 * 0.1) - 1).max() < (8 + 80_000**0.5) * 2.0**-52
    assert abs(array.sum(axis=0)[:, 0, 0] / (20_000 * 0.1) - 1).max() > (8 + 20_000**0.5) * 2.0**-52


def test_cupy_arrays_are_told_apart_by_device_and_library(cupy):
    x, w = rng(1, 1, 4, 4), rng(1, 1, 3, 3)
    with pytest.raises(convhub.MixedArraysError, match="weight .* has device cuda:1, but input .* cuda:0"):
        convhub.conv2d(cupy(x), cupy(w, device=1))
    with pytest.raises(convhub.MixedArraysError, match="weight .* has library numpy, but input .* cupy"):
        convhub.conv2d(cupy(x), w)
    with pytest.raises(convhub.UnsupportedProblemError, match="runs on cpu only, not on cuda"):
        convhub.conv2d(cupy(x), cupy(w), backend="naive")
    with pytest.raises(convhub.DtypeError, match="dtype object"):
        convhub.conv2d(cupy(x.astype(object)), cupy(w))


def test_no_array_leaves_its_device():
    with pytest.raises(convhub.ArgumentTypeError, match="without leaving its device"):
        arrays.converter("numpy", "cupy")


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "F", "D", "i1", "u4"])
def test_channel_sums_are_as_good_as_one_rounding(dtype):
    values = np.random.default_rng(0).integers(0, 100, (7, 3, 65, 33))
    array = (values / 64 if np.dtype(dtype).kind in "fc" else values).astype(dtype)
    exact = [int(array[:, c].astype("D").real.sum() * 64) for c in range(3)]
    total = arrays.channel_sum(array)
    assert total.dtype == array.dtype
    for mine, right in zip(total, exact, strict=True):
        if array.dtype.kind in "iu":
            assert int(mine) == np.array(right // 64).astype(dtype)
        else:
            assert mine == np.array(right / 64).astype(dtype)
