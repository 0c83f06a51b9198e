"""Calls that are captured into CUDA graphs, and what the graphs compute when they are launched."""

import numpy as np
import pytest

import convhub

from .on_device import reference, small_integers, to_numpy, to_torch

X, W, G = small_integers(2, 8, 9, 8), small_integers(4, 8, 3, 2, seed=1), small_integers(2, 4, 7, 7, seed=2)


@pytest.fixture
def deep():
    """Return operands whose weight gradient takes parts, and so a workspace; sums stay exact in float32."""
    x, w = small_integers(4, 16, 64, 64), small_integers(16, 16, 3, 3, seed=1)
    return x, w, small_integers(4, 16, 62, 62, seed=2)


def test_torchs_graph(deep):
    import torch

    x, w, g = (to_torch(a) for a in deep)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        convhub.conv2d(x, w, backend="cupy")
        convhub.conv2d_backward(g, x, w, backend="cupy")
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = convhub.conv2d(x, w, backend="cupy")
        gradients = convhub.conv2d_backward(g, x, w, backend="cupy")
    others = [torch.full_like(y, 7) for _ in range(8)]
    for factor in (1, 2):
        x.copy_(to_torch(deep[0]) * factor)
        graph.replay()
        expected = reference(factor * deep[0], deep[1]), *reference(factor * deep[0], *deep[1:])
        for mine, right in zip((y, *gradients), expected, strict=True):
            np.testing.assert_array_equal(to_numpy(mine), right)
    assert all((other == 7).all().item() for other in others)


def test_a_module_made_into_a_graph():
    import torch

    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(to_torch(W))

        def forward(self, x):
            return convhub.conv2d(x, self.weight, backend="cupy")

    x = to_torch(X).requires_grad_()
    layer = torch.cuda.make_graphed_callables(Layer(), (x,))
    for factor in (1, 2):
        given = (to_torch(X) * factor).requires_grad_()
        layer.weight.grad = None
        y = layer(given)
        y.backward(to_torch(G))
        np.testing.assert_array_equal(to_numpy(y), reference(factor * X, W))
        dx, dw, _ = reference(factor * X, W, G)
        np.testing.assert_array_equal(to_numpy(given.grad), dx)
        np.testing.assert_array_equal(to_numpy(layer.weight.grad), dw)


@pytest.mark.parametrize("mode", ["relaxed", "global"])
def test_cupys_graph_writes_to_nobody_elses_memory(deep, mode):
    import cupy

    modes = {
        "relaxed": cupy.cuda.runtime.streamCaptureModeRelaxed,
        "global": cupy.cuda.runtime.streamCaptureModeGlobal,
    }
    x, w, g = (cupy.asarray(a) for a in deep)
    no_bias = (True, True, False)
    cupy.cuda.Device().synchronize()
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        # On the same stream, whose memory it leaves in the pool.
        warm = convhub.conv2d(x, w, backend="cupy")
        warm = warm, convhub.conv2d_backward(g, x, w, output_mask=no_bias, backend="cupy")
        del warm
        stream.begin_capture(modes[mode])
        y = convhub.conv2d(x, w, backend="cupy")
        gradients = convhub.conv2d_backward(g, x, w, output_mask=no_bias, backend="cupy")
        graph = stream.end_capture()
        # Whatever the call has given back to the pool is taken by these.
        others = [cupy.full(1 << 18, 7, cupy.float32) for _ in range(100)]
        for factor in (1, 2):
            x[...] = factor * cupy.asarray(deep[0])
            graph.launch(stream)
            dx, dw, _ = reference(factor * deep[0], *deep[1:])
            np.testing.assert_array_equal(to_numpy(y), reference(factor * deep[0], deep[1]))
            np.testing.assert_array_equal(to_numpy(gradients.input), dx)
            np.testing.assert_array_equal(to_numpy(gradients.weight), dw)
        assert all((other == 7).all().item() for other in others)


def test_a_kernel_that_is_not_compiled_is_refused_and_the_capture_ends_well():
    import cupy
    from convhub_cupy.runtime import cupy_runtime

    cupy_runtime._function.cache_clear()
    x, w = cupy.asarray(X), cupy.asarray(W)
    cupy.cuda.Device().synchronize()
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        with pytest.raises(
            convhub.BackendError, match="is not compiled yet.*run the same problem once before"
        ):
            convhub.conv2d(x, w, backend="cupy")
        stream.end_capture()
        np.testing.assert_array_equal(to_numpy(convhub.conv2d(x, w, backend="cupy")), reference(X, W))
