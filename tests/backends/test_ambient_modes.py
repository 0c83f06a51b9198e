"""What a backend computes depends on none of the modes that a caller has switched on, bit for bit."""

from __future__ import annotations

import contextlib
import warnings

import numpy as np
import pytest

import convhub

torch = pytest.importorskip("torch")
from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402
from torch.overrides import TorchFunctionMode  # noqa: E402

BACKENDS = ["naive", "numpy", "numba", "torch"]


class Other(TorchFunctionMode):
    """Replace torch's convolution, as a mode of a user's may."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        return result * 0 if function is torch.nn.functional.conv2d else result


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


MODES = {
    "autocast to bfloat16": lambda: torch.autocast("cpu", torch.bfloat16),
    "autocast to float16": lambda: torch.autocast("cpu", torch.float16),
    "default dtype": lambda: default_dtype(torch.float64),
    "default device": lambda: torch.device("meta"),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "deterministic algorithms": deterministic,
    "a function mode": Other,
    "fake tensors": FakeTensorMode,
    "errstate": lambda: np.errstate(all="raise"),
}


def operands(dtype):
    random = np.random.default_rng(1)
    arrays = [random.standard_normal((2, *shape)) for shape in ((2, 4, 6, 5), (6, 2, 3, 2), (6,))]
    made = [(a[0] + 1j * a[1] if dtype == "complex64" else a[0]).astype(dtype) for a in arrays]
    made[0].flat[7] = np.nan  # which an error state would see
    made[1].flat[0] = np.finfo(dtype).max
    return made


def computed(arrays, backend, library):
    if library == "torch":
        arrays = [torch.from_numpy(a) for a in arrays]
    parameters = {"stride": (2, 1), "padding": ((1, 0), (0, 1)), "groups": 2, "backend": backend}
    y = convhub.conv2d(*arrays, **parameters)
    return y, *convhub.conv2d_backward(y, *arrays[:2], **parameters)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_bits_are_the_same_within_a_mode(backend, library, mode):
    if library == "torch" and mode == "fake tensors":
        pytest.skip("under this mode a call on tensors is recorded: see test_recording.py")
    for dtype in ("float32", "complex64"):
        if backend == "numba" and dtype == "complex64":
            continue
        arrays = operands(dtype)
        right = computed(arrays, backend, library)
        with MODES[mode](), warnings.catch_warnings():
            warnings.simplefilter("error")
            mine = computed(arrays, backend, library)
        for one, two in zip(mine, right, strict=True):
            assert type(one) is type(two)
            assert one.dtype == two.dtype
            assert np.asarray(one).tobytes() == np.asarray(two).tobytes()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_backward_pass_keeps_its_precision_under_autocast(backend):
    x, w = (torch.from_numpy(a).requires_grad_() for a in operands("float32")[:2])
    y = convhub.conv2d(x, w, groups=2, backend=backend)
    right = torch.autograd.grad(y, (x, w), torch.ones_like(y), retain_graph=True)
    with torch.autocast("cpu", torch.bfloat16):
        mine = torch.autograd.grad(y, (x, w), torch.ones_like(y))
    for one, two in zip(mine, right, strict=True):
        assert one.numpy().tobytes() == two.numpy().tobytes()
