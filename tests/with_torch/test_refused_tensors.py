"""Tensors that convhub does not compute with are refused by name, and no memory is read that is not there."""

from __future__ import annotations

import pytest
import torch

import convhub

W = torch.ones(1, 1, 2, 2)
X = torch.ones(1, 1, 3, 3)


class Subclass(torch.Tensor):
    pass


def freed(tensor, left=0):
    tensor = tensor.clone()
    tensor.untyped_storage().resize_(left)
    return tensor


def escaped(transform):
    kept = []

    def keep(x):
        kept.append(x)
        return x.sum()

    transform(keep)(X)
    return kept[0]


def masked(tensor):
    return torch.masked.masked_tensor(tensor, tensor > 0)


REFUSED = {
    "subclass": (
        lambda: X.as_subclass(Subclass),
        TypeError,
        r"Subclass .* input\.as_subclass\(torch\.Tensor\)",
    ),
    "masked": (
        lambda: masked(X),
        TypeError,
        r"MaskedTensor of shape \(1, 1, 3, 3\).* input\.to_tensor\(0\.0\)",
    ),
    "nested": (lambda: torch.nested.nested_tensor([X[0], X[0]]), TypeError, "input is a nested tensor"),
    "jagged": (
        lambda: torch.nested.nested_tensor([X[0, 0], X[0, 0]], layout=torch.jagged),
        TypeError,
        "input is a nested tensor",
    ),
    "sparse": (X.to_sparse, TypeError, "must be dense: input.to_dense"),
    "lazy": (lambda: torch.nn.UninitializedParameter(), TypeError, "UninitializedParameter.*no shape yet"),
    "meta": (lambda: X.to("meta"), ValueError, "on device 'meta'; it must be on cpu or cuda"),
    "freed": (lambda: freed(X), ValueError, r"input .*\(1, 1, 3, 3\) whose storage has 0 bytes where 36"),
    "functional": (lambda: torch._to_functional_tensor(X), ValueError, "input is a functional tensor"),
    "kept from grad": (lambda: escaped(torch.func.grad), ValueError, "input .* the transform has ended"),
    "kept from vmap": (lambda: escaped(torch.func.vmap), ValueError, "input .* the transform has ended"),
    "float8": (
        lambda: X.to(torch.float8_e4m3fn),
        TypeError,
        "float8_e4m3fn, which is not supported; it must",
    ),
    "complex32": (lambda: X.to(torch.complex32), TypeError, "complex32, which is not supported; it must be"),
    "bool": (X.bool, TypeError, "torch.bool, which is not supported; it must be float16"),
}


@pytest.mark.filterwarnings("ignore")  # of torch, about prototypes
@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_plain_tensor_is_refused_by_name(kind, backend):
    make, error, words = REFUSED[kind]
    tensor = make()
    with pytest.raises(error, match=words) as caught:
        convhub.conv2d(tensor, W, backend=backend)
    assert isinstance(caught.value, convhub.ConvhubError)
    with pytest.raises(convhub.ConvhubError):
        convhub.conv2d(X, tensor, backend=backend)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_storage_that_was_made_smaller_is_not_read(backend):
    second = torch.ones(2, 1, 3, 3)[1:]
    second.untyped_storage().resize_(40)
    for tensor in (freed(X, 32), second):
        with pytest.raises(convhub.ArgumentError, match=r"whose storage has \d+ bytes where \d+ are needed"):
            convhub.conv2d(tensor, W, backend=backend)


def test_weights_that_were_freed_between_the_passes_are_not_read():
    backend = "torch"  # a storage that NumPy has seen can no longer be freed
    weight = W.clone()
    x = X.clone().requires_grad_()
    y = convhub.conv2d(x, weight, backend=backend)
    weight.untyped_storage().resize_(0)
    with pytest.raises(convhub.ArgumentError, match=r"\(1, 1, 2, 2\) whose storage has 0 bytes where 16"):
        y.sum().backward()


@pytest.mark.filterwarnings("ignore:.torch.jit.trace:DeprecationWarning")
def test_torch_jit_trace_is_refused():
    with pytest.raises(convhub.ArgumentTypeError, match=r"torch\.jit\.trace records"):
        torch.jit.trace(lambda x: convhub.conv2d(x, W), X)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_zeros_that_torch_does_not_hold_are_zeros(backend):
    zeros = torch._efficientzerotensor((1, 1, 3, 3))
    assert convhub.conv2d(zeros, W, backend=backend).tolist() == [[[[0.0, 0.0], [0.0, 0.0]]]]


def test_kinds_of_parameters_and_dense_views_are_taken():
    class Special(torch.nn.Parameter):
        pass

    weight = Special(W.clone())
    convhub.conv2d(X.expand(2, 1, 3, 3), weight, backend="numpy").sum().backward()
    assert weight.grad.tolist() == [[[[8.0, 8.0], [8.0, 8.0]]]]
