"""What torch transforms or records: `torch.func`, `make_fx`, `torch.export`, fake tensors and modes.

The oracle is torch's own convolution on integers in float64, which is exact.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

import convhub

func = torch.func


def integers(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randint(-4, 5, shape, generator=generator).double()


X, W, B, T = integers(2, 4, 5, 4), integers(6, 2, 3, 2), integers(6), integers(2, 4, 5, 4, seed=7)
PARAMETERS = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}


def ours(x, w=W, b=B):
    return convhub.conv2d(x, w, b, **PARAMETERS, backend="numpy")


def torchs(x, w=W, b=B):
    return torch.nn.functional.conv2d(x, w, b, **PARAMETERS)


def cubed(conv):
    """Return a function of one number whose second derivatives are none of them zero."""
    return lambda x: (conv(x).square() * conv(x)).sum()


def backward(conv):
    """Return the gradients for image and weight that conv2d_backward gives, or torch's of the same."""
    if conv is ours:
        return lambda x: convhub.conv2d_backward(ours(x), x, W, **PARAMETERS, backend="numpy")[:2]
    return lambda x: func.vjp(torchs, x, W)[1](torchs(x))


def transposed(conv):
    if conv is ours:
        return lambda x: convhub.conv_transpose2d(x, W[:4], stride=2, output_padding=1, backend="numpy")
    return lambda x: torch.nn.functional.conv_transpose2d(x, W[:4], stride=2, output_padding=1)


def unbatched(conv):
    return lambda x: conv(x[0]) + conv(x[1])


FUNCTIONS = {
    "conv2d": lambda conv: conv,
    "unbatched": unbatched,
    "transposed": transposed,
    "backward": backward,
    "grad": lambda conv: func.grad(cubed(conv)),
    "grad of grad": lambda conv: func.grad(lambda x: func.grad(cubed(conv))(x).square().sum()),
    "by the weight": lambda conv: lambda x: func.grad(lambda w: cubed(lambda x: conv(x, w))(x))(W),
    "by the bias": lambda conv: lambda x: func.grad(lambda b: cubed(lambda x: conv(x, W, b))(x))(B),
    "jvp": lambda conv: lambda x: func.jvp(conv, (x, W, B), (T, W + 1, B - 1)),
    "vjp": lambda conv: lambda x: func.vjp(conv, x, W, B)[1](conv(x)),
    "jvp of grad": lambda conv: lambda x: func.jvp(func.grad(cubed(conv)), (x,), (T,)),
    "grad of jvp": lambda conv: func.grad(lambda x: func.jvp(cubed(conv), (x,), (T,))[1]),
}


@pytest.fixture(params=FUNCTIONS)
def pair(request):
    """Return one function written with convhub's convolution and with torch's."""
    make = FUNCTIONS[request.param]
    return make(ours), make(torchs)


def same(mine, right):
    torch.testing.assert_close(tuple(mine) if isinstance(mine, tuple) else mine, right, rtol=0, atol=0)


def test_transforms_by_themselves(pair):
    mine, right = pair
    same(mine(X), right(X))


def test_functionalize(pair):
    mine, right = pair
    same(func.functionalize(mine)(X), right(X))


@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
def test_make_fx_records_the_operator_and_no_numbers(pair, mode):
    mine, right = pair
    graph = make_fx(lambda x: mine(x), tracing_mode=mode, _allow_non_fake_inputs=True)(
        X
    )  # make_fx counts arguments with defaults
    same(graph(T), right(T))
    assert "convhub." in graph.code


@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning")  # torch's own
@pytest.mark.parametrize("name", [name for name in FUNCTIONS if "jvp" not in name])  # torch nests no others
def test_linearize(name):
    mine, right = (FUNCTIONS[name](conv) for conv in (ours, torchs))
    value, tangent = func.linearize(mine, X)
    for one, two in zip((value, tangent(T)), func.jvp(right, (X,), (T,)), strict=True):
        same(one, two)


def test_vmap(pair):
    mine, right = pair
    many = torch.stack([X, T, X - T])
    same(func.vmap(mine)(many), func.vmap(right)(many))
    same(func.vmap(func.vmap(mine))(many[None]), func.vmap(func.vmap(right))(many[None]))


@pytest.mark.parametrize("axes", [(0, None, None), (None, 1, None), (None, None, 0), (2, 3, 1), (1, 0, None)])
def test_vmap_over_any_operand_and_axis(axes):
    operands = [
        operand if axis is None else torch.stack([operand, operand - 1, -operand], axis)
        for operand, axis in zip((X, W, B), axes, strict=True)
    ]

    def gradients(conv):
        return lambda x, w, b: func.grad(lambda *o: cubed(lambda x: conv(x, *o[1:]))(o[0]), (0, 1, 2))(
            x, w, b
        )

    same(func.vmap(ours, axes)(*operands), func.vmap(torchs, axes)(*operands))
    same(func.vmap(gradients(ours), axes)(*operands), func.vmap(gradients(torchs), axes)(*operands))


def test_whole_jacobians():
    small = X[:1, :, :3, :3]
    for transform in (func.jacrev, func.jacfwd):
        same(transform(ours)(small), transform(torchs)(small))
    same(func.hessian(cubed(ours))(small), func.hessian(cubed(torchs))(small))
    same(
        torch.autograd.functional.jacobian(ours, small, vectorize=True),
        torch.autograd.functional.jacobian(torchs, small),
    )


@pytest.mark.parametrize("of_the_graph", [False, True])
def test_a_recorded_graph_has_gradients_of_any_order(of_the_graph):
    graph = make_fx(lambda x, w, b: ours(x, w, b))(X, W, B) if of_the_graph else ours
    leaves = [t.clone().requires_grad_() for t in (X, W, B)]
    assert torch.autograd.gradgradcheck(graph, leaves, fast_mode=True)
    assert torch.autograd.gradcheck(graph, leaves, fast_mode=True, check_forward_ad=True)
    if of_the_graph:
        with forward_ad.dual_level():
            mine = forward_ad.unpack_dual(graph(forward_ad.make_dual(X, T), W, B)).tangent
        same(mine, func.jvp(torchs, (X,), (T,))[1])


def test_a_graph_runs_the_backend_that_was_named_or_else_the_one_that_is_chosen_then(toy, seen):
    named = make_fx(lambda x: convhub.conv2d(x, W[:, :2].repeat(1, 2, 1, 1), backend="toy"))(X)
    free = make_fx(lambda x: convhub.conv2d(x, W[:, :2].repeat(1, 2, 1, 1)))(X)
    seen.clear()
    named(T)
    with convhub.use_backend("naive"):
        free(T)
        named(T)
    assert seen == ["toy", "naive", "toy"]


@pytest.fixture
def seen():
    """Return a list that grows by the name of each backend that runs."""
    from convhub.dispatch.execute import internal_observers

    names = []

    def watch(event):
        names.append(event.backend)

    internal_observers.append(watch)
    yield names
    internal_observers.remove(watch)


def test_fake_tensors_give_shapes_and_compute_nothing(seen):
    with FakeTensorMode() as mode:
        x, w = (mode.from_tensor(tensor) for tensor in (X, W))
        y = convhub.conv2d(x, w, **PARAMETERS)
        gradients = convhub.conv2d_backward(y, x, w, **PARAMETERS)
    outside = convhub.conv2d(x, w, **PARAMETERS)  # they know their mode
    assert type(y) is type(outside) is type(x)
    assert y.shape == outside.shape == torchs(X).shape
    assert y.dtype == X.dtype
    assert [g.shape for g in gradients] == [X.shape, W.shape, B.shape]
    assert not seen


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.bias = torch.nn.Parameter(W), torch.nn.Parameter(B)

    def forward(self, x):
        return ours(x, self.weight, self.bias).relu()


def test_export_without_dynamo():
    layer = Layer()
    program = torch.export.export(layer, (X,), strict=False)
    assert "convhub.forward" in program.graph_module.code
    same(program.module()(T), torchs(T).relu())


def test_deferred_modes_see_the_operator():
    class Note(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.names = []

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.names.append(str(function))
            return function(*args, **(kwargs or {}))

    x = X.clone().requires_grad_()
    with Note() as note:
        y = ours(x)
        y.sum().backward()
    same(y, torchs(X))
    same(x.grad, torch.autograd.grad(torchs(x).sum(), x)[0])
    found = [name for name in note.names if name.startswith("convhub")]
    assert found == ["convhub.forward.default", "convhub.grad_input.default"]


def test_complex_tensors():
    x, w = torch.complex(X, T), torch.complex(W, W + 1)

    def gradient(conv):
        return func.grad(lambda x: conv(x, w, None).abs().square().sum())

    # torch multiplies complex numbers in another way, which rounds.
    torch.testing.assert_close(gradient(ours)(x), gradient(torchs)(x))
    torch.testing.assert_close(make_fx(gradient(ours))(x)(x.conj()), gradient(torchs)(x.conj()))


def test_no_grad_within_a_transform():
    def function(conv):
        def inner(x):
            with torch.no_grad():
                y = conv(x)
            return (y * conv(x)).sum()

        return inner

    same(func.grad(function(ours))(X), func.grad(function(torchs))(X))
    assert torch.equal(func.grad(function(ours))(X), func.grad(lambda x: (ours(X) * ours(x)).sum())(X))


def test_a_graph_refuses_tensors_of_other_sizes():
    graph = make_fx(lambda x: ours(x))(X)
    with pytest.raises(convhub.ShapeError, match="recorded graph takes the sizes that it was recorded with"):
        graph(T[:, :, :3])
    with pytest.raises(convhub.MixedArraysError, match="dtype"):
        graph(T.float())


@pytest.mark.parametrize("name", ["forward", "grad_input", "grad_weight"])
def test_operators_are_as_torch_wants_them(name):
    y = torchs(X)
    common = ([2, 1], [1, 1, 0, 0], [1, 2], 2)
    arguments = {
        "forward": (X, W, B, *common, list(y.shape[2:]), "numpy"),
        "grad_input": (y, W, None, *common, list(X.shape[2:]), "numpy"),
        "grad_weight": (y, X, *common, list(W.shape[2:]), "numpy"),
    }[name]
    from convhub.torch import operators  # noqa: F401 - registers them

    arguments = tuple(
        copy.deepcopy(a).requires_grad_() if isinstance(a, torch.Tensor) else a for a in arguments
    )
    torch.library.opcheck(getattr(torch.ops.convhub, name).default, arguments)
