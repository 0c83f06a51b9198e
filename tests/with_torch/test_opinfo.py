"""torch's own samples for its two operations, as torch tensors and as NumPy arrays, on every CPU engine."""

from __future__ import annotations

import numpy as np
import pytest

import convhub

torch = pytest.importorskip("torch")
op_db = pytest.importorskip("torch.testing._internal.common_methods_invocations").op_db

NAMES = ("conv2d", "conv_transpose2d")
OPERATIONS = {name: next(op for op in op_db if op.name == f"nn.functional.{name}") for name in NAMES}
BACKENDS = ["naive", "numpy", "numba", "torch"]


def samples(name, dtype, requires_grad):
    found = list(OPERATIONS[name].sample_inputs("cpu", dtype, requires_grad=requires_grad))
    assert len(found) >= 12, "torch gives fewer samples than it did: is the operation still the right one?"
    return found


def exact(name, sample, grad_output):
    """Return result and gradients in float64, by torch."""
    arrays = [t.detach().double().requires_grad_() for t in (sample.input, *sample.args) if t is not None]
    result = OPERATIONS[name].op(*arrays, **sample.kwargs)
    return result, torch.autograd.grad(result, arrays, grad_output.double())


# Of torch's own, which is the reference here.
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("backend", BACKENDS)
def test_samples(name, dtype, backend):
    function = getattr(convhub, name)
    backward = getattr(convhub, f"{name}_backward")
    for number, sample in enumerate(samples(name, dtype, requires_grad=True)):
        leaves = [t for t in (sample.input, *sample.args) if t is not None]
        result = function(sample.input, *sample.args, **sample.kwargs, backend=backend)
        grad_output = torch.randn(result.shape, dtype=dtype, generator=torch.Generator().manual_seed(number))
        wanted, wanted_gradients = exact(name, sample, grad_output)
        assert result.dtype is dtype
        torch.testing.assert_close(result, wanted.to(dtype))
        for mine, right in zip(
            torch.autograd.grad(result, leaves, grad_output), wanted_gradients, strict=True
        ):
            torch.testing.assert_close(mine, right.to(dtype))

        plain = [None if t is None else t.detach().numpy() for t in (sample.input, *sample.args)]
        array = function(*plain, **sample.kwargs, backend=backend)
        assert type(array) is np.ndarray
        torch.testing.assert_close(torch.from_numpy(array), wanted.to(dtype))
        gradients = backward(grad_output.numpy(), *plain[:2], **sample.kwargs, backend=backend)
        for mine, right in zip(gradients, wanted_gradients, strict=False):
            torch.testing.assert_close(torch.from_numpy(mine), right.to(dtype))


@pytest.mark.parametrize("backend", BACKENDS)
def test_error_inputs(backend):
    """What torch refuses, convhub refuses; of convolution only, since torch lists none for the other."""
    assert OPERATIONS["conv_transpose2d"].error_inputs_func is None
    found = list(OPERATIONS["conv2d"].error_inputs("cpu"))
    assert len(found) >= 10
    for error in found:
        sample = error.sample_input
        with pytest.raises((ValueError, TypeError)) as caught:
            convhub.conv2d(sample.input, *sample.args, **sample.kwargs, backend=backend)
        assert isinstance(caught.value, convhub.ConvhubError), (error.error_regex, caught.value)
        arrays = [None if t is None else t.detach().numpy() for t in (sample.input, *sample.args)]
        with pytest.raises(type(caught.value)):
            convhub.conv2d(*arrays, **sample.kwargs, backend=backend)
