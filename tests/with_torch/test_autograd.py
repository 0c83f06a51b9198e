"""Gradients of any order, from the three primitives alone, on every CPU engine and on a plugin's."""

from __future__ import annotations

import threading

import pytest

import convhub

torch = pytest.importorskip("torch")
from torch.autograd import forward_ad, gradcheck, gradgradcheck  # noqa: E402

BACKENDS = ["naive", "numpy", "numba", "torch", "toy"]


def leaf(*shape, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, dtype=dtype, generator=generator).requires_grad_()


CASES = {
    "conv2d": (
        lambda x, w, b, **k: convhub.conv2d(x, w, b, (2, 1), ((1, 2), (0, 1)), (1, 2), 2, **k),
        lambda: (leaf(2, 4, 5, 4), leaf(4, 2, 3, 2), leaf(4)),
    ),
    "conv2d unbatched, no bias": (
        lambda x, w, **k: convhub.conv2d(x, w, padding="same", **k),
        lambda: (leaf(1, 3, 4), leaf(2, 1, 2, 3)),
    ),
    "conv_transpose2d": (
        lambda x, w, b, **k: convhub.conv_transpose2d(x, w, b, (3, 2), (1, 0), (1, 1), 2, (1, 2), **k),
        lambda: (leaf(2, 4, 2, 3), leaf(4, 1, 3, 2), leaf(2)),
    ),
    "conv2d_backward": (
        lambda g, x, w, **k: convhub.conv2d_backward(g, x, w, padding=1, stride=2, **k),
        lambda: (leaf(1, 2, 2, 3), leaf(1, 2, 4, 5), leaf(2, 2, 3, 3)),
    ),
    "conv_transpose2d_backward": (
        lambda g, x, w, **k: convhub.conv_transpose2d_backward(g, x, w, stride=2, **k),
        lambda: (leaf(1, 2, 5, 4), leaf(1, 2, 2, 2), leaf(2, 2, 3, 2)),
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_and_their_gradients(case, backend, toy):
    function, make = CASES[case]

    def run(*arrays):
        return function(*arrays, backend=backend)

    inputs = make()
    # The whole Jacobian on two engines; a random projection of it on the others, which is quicker.
    projected = backend not in ("toy", "numba")
    assert gradcheck(run, inputs, check_forward_ad=True, fast_mode=projected)
    assert gradgradcheck(run, inputs, fast_mode=projected)


@pytest.mark.parametrize("backend", ["naive", "numpy", "torch", "toy"])
def test_complex_gradients(backend, toy):
    inputs = leaf(1, 2, 3, 4, dtype=torch.complex128), leaf(2, 2, 2, 3, dtype=torch.complex128)
    assert gradcheck(lambda x, w: convhub.conv2d(x, w, padding=1, backend=backend), inputs)
    x, w = (t.detach() for t in inputs)
    g = leaf(1, 2, 2, 2, dtype=torch.complex128).detach()
    wanted = torch.autograd.grad(torch.nn.functional.conv2d(*inputs), inputs, g)
    for mine, right in zip(convhub.conv2d_backward(g, x, w, backend=backend), wanted, strict=False):
        torch.testing.assert_close(mine, right)
    plain = convhub.conv2d_backward(g.numpy(), x.numpy(), w.numpy(), backend=backend)
    for mine, right in zip(plain, wanted, strict=False):
        torch.testing.assert_close(torch.from_numpy(mine), right)


def test_a_plain_backward_pass(toy):
    x, w, b = leaf(2, 3, 6, 5), leaf(4, 3, 3, 2), leaf(4)
    convhub.conv2d(x, w, b, backend=toy).square().sum().backward()
    mine = x.grad.clone(), w.grad.clone(), b.grad.clone()
    right = torch.autograd.grad(torch.nn.functional.conv2d(x, w, b).square().sum(), (x, w, b))
    for one, two in zip(mine, right, strict=True):
        torch.testing.assert_close(one, two)


def test_only_what_requires_grad_is_computed(toy):
    from convhub import plugins
    from convhub.backend import hookimpl

    class Recorder:
        primitives: list[str] = []  # noqa: RUF012

        @hookimpl
        def convhub_called(self, event):
            self.primitives.append(event.problem.primitive)

    x, w = leaf(1, 2, 4, 4).detach(), leaf(2, 2, 3, 3)
    plugins.register(Recorder(), "recorder")
    try:
        convhub.conv2d(x, w, backend=toy).sum().backward()
        with torch.no_grad():
            assert not convhub.conv2d(x, w, backend=toy).requires_grad
    finally:
        plugins.unregister("recorder")
    assert Recorder.primitives == ["forward", "grad_weight", "forward"]


def test_the_named_backend_goes_along_into_other_threads(toy):
    """A backward pass may run where the context of the forward pass is not in force."""
    from convhub import plugins
    from convhub.backend import hookimpl

    seen = []

    class Recorder:
        @hookimpl
        def convhub_called(self, event):
            seen.append((event.problem.primitive, event.backend))

    x, w = leaf(1, 2, 4, 4), leaf(2, 2, 3, 3)
    with convhub.use_backend("toy"):
        result = convhub.conv2d(x, w).sum()
    plugins.register(Recorder(), "recorder")
    try:
        thread = threading.Thread(target=result.backward)
        thread.start()
        thread.join()
    finally:
        plugins.unregister("recorder")
    assert sorted(seen) == [("grad_input", "toy"), ("grad_weight", "toy")]


@pytest.mark.filterwarnings("ignore")  # of torch's compiler, about its own future
@pytest.mark.parametrize("backend", BACKENDS)
def test_compiled_functions_call_the_backend(backend, toy):
    x, w = leaf(1, 2, 5, 4), leaf(3, 2, 2, 3)

    def function(x, w):
        return (convhub.conv2d(x * 2, w, padding=1, backend=backend) + 1).square()

    compiled = torch.compile(function, backend="eager")
    torch.testing.assert_close(compiled(x, w), function(x, w))
    mine = torch.autograd.grad(compiled(x, w).sum(), (x, w))
    for one, two in zip(mine, torch.autograd.grad(function(x, w).sum(), (x, w)), strict=True):
        torch.testing.assert_close(one, two)


def test_backends_on_torch_see_plain_tensors():
    import types

    from convhub import plugins
    from convhub.backend import Backend, Capabilities, hookimpl

    seen = []

    def grad_input(dy, w, bias, problem, options):
        seen.extend([dy, w])
        return dy.new_zeros(problem.result_shape)

    capabilities = Capabilities(dtypes=("complex64",), arrays="torch")
    backend = Backend("looking", capabilities, grad_input=grad_input)
    plugins.register(types.SimpleNamespace(convhub_backends=hookimpl(lambda: [backend])), "looking")
    try:
        x, w = torch.ones(1, 1, 3, 3, dtype=torch.complex64), leaf(1, 1, 2, 2, dtype=torch.complex64)
        g = torch.ones(1, 1, 2, 2, dtype=torch.complex64).conj()
        convhub.conv2d_backward(g, x, w, backend="looking", output_mask=(True, False, False))
    finally:
        plugins.unregister("looking")
    assert seen
    assert not any(tensor.is_conj() or tensor.requires_grad for tensor in seen)


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint8, torch.int32])
def test_integer_tensors_have_gradients_too(dtype):
    x, w = torch.ones(1, 1, 3, 3, dtype=dtype), torch.ones(1, 1, 2, 2, dtype=dtype)
    gradients = convhub.conv2d_backward(torch.ones(1, 1, 2, 2, dtype=dtype), x, w, backend="numpy")
    assert [gradient.dtype for gradient in gradients] == [dtype] * 3
    assert gradients.bias.tolist() == [4]


def test_the_fallback_warning_points_at_the_call(monkeypatch):
    monkeypatch.setenv("CONVHUB_FALLBACK", "1")
    with pytest.warns(RuntimeWarning) as caught:
        convhub.conv2d(leaf(1, 1, 3, 3), leaf(1, 1, 2, 2), backend="cupy")
    assert caught[0].filename == __file__


def test_forward_mode(toy):
    x, w, b = (t.detach() for t in (leaf(1, 2, 4, 4), leaf(2, 2, 3, 3), leaf(2)))
    tangents = [leaf(*t.shape, seed=9).detach() for t in (x, w, b)]
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(p, t) for p, t in zip((x, w, b), tangents, strict=True)]
        mine = forward_ad.unpack_dual(convhub.conv2d(*duals, backend=toy)).tangent
        right = forward_ad.unpack_dual(torch.nn.functional.conv2d(*duals)).tangent
    torch.testing.assert_close(mine, right)


def test_func_transforms(toy):
    x, w = (t.detach() for t in (leaf(1, 2, 4, 4), leaf(2, 2, 3, 3)))

    def loss(w):
        return convhub.conv2d(x, w, backend=toy).square().sum()

    def right(w):
        return torch.nn.functional.conv2d(x, w).square().sum()

    torch.testing.assert_close(torch.func.grad(loss)(w), torch.func.grad(right)(w))
