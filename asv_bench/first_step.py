"""Times the first step of networks in a new process: from an empty cache of kernels, and from a full one.

``python asv_bench/first_step.py [NETWORK ...]`` prints, for the convolutions of each network on the *numba*
backend, the seconds from the first call to the end: ``cold`` with nothing compiled, ``warm`` in a second
process, and ``again``, a second step there. The difference of the last two is what the first step costs
beyond computing. torch must be installed; before the time starts it is imported, and has made a backward pass
of its own, for which it imports another library. Run this on an idle machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import NamedTuple

TRAINING, INFERENCE = (8, 160), (1, 224)  # images, and pixels of a side


class Layer(NamedTuple):
    """A square convolution, or a transposed one."""

    channels: int
    out_channels: int
    size: int
    taps: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    transposed: bool = False


def _same(channels: int, out_channels: int, size: int, taps: int, stride: int = 1, groups: int = 1) -> Layer:
    return Layer(channels, out_channels, size, taps, stride, taps // 2, groups)


def resnet50(size: int) -> list[Layer]:
    """Return the layers of https://arxiv.org/abs/1512.03385, table 1, with the stride in the 3x3 layers."""
    layers, channels, side = [_same(3, 64, size, 7, 2)], 64, size // 4
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            stride = 2 if block == 0 and stage else 1
            layers += [_same(channels, width, side, 1), _same(width, width, side, 3, stride)]
            if block == 0:
                layers.append(_same(channels, 4 * width, side, 1, stride))
            side, channels = side // stride, 4 * width
            layers.append(_same(width, channels, side, 1))
    return layers


def resnet18(size: int) -> list[Layer]:
    """Return the layers of the smallest network in that table."""
    layers, channels, side = [_same(3, 64, size, 7, 2)], 64, size // 4
    for stage, width in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if block == 0 and stage else 1
            layers.append(_same(channels, width, side, 3, stride))
            if stride == 2:
                layers.append(_same(channels, width, side, 1, 2))
            side, channels = side // stride, width
            layers.append(_same(width, width, side, 3))
    return layers


def mobilenet_v2(size: int) -> list[Layer]:
    """Return the layers of https://arxiv.org/abs/1801.04381, table 2."""
    layers, channels, side = [_same(3, 32, size, 3, 2)], 32, size // 2
    table = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2))
    for expansion, width, blocks, first_stride in (*table, (6, 320, 1, 1)):
        for block in range(blocks):
            stride, inner = first_stride if block == 0 else 1, channels * expansion
            if expansion > 1:
                layers.append(_same(channels, inner, side, 1))
            layers.append(_same(inner, inner, side, 3, stride, inner))
            side, channels = -(-side // stride), width
            layers.append(_same(inner, channels, side, 1))
    return [*layers, _same(channels, 1280, side, 1)]


def unet(size: int) -> list[Layer]:
    """Return the layers of https://arxiv.org/abs/1505.04597 with 3 levels, 32 channels and padding."""
    layers, channels, side = [], 3, size
    for width in (32, 64, 128):
        layers += [_same(channels, width, side, 3), _same(width, width, side, 3)]
        channels, side = width, side // 2
    layers += [_same(128, 256, side, 3), _same(256, 256, side, 3)]
    for width in (128, 64, 32):
        layers.append(Layer(2 * width, width, side, 2, 2, transposed=True))
        side *= 2
        layers += [_same(2 * width, width, side, 3), _same(width, width, side, 3)]
    return [*layers, _same(32, 2, side, 1)]


class Network(NamedTuple):
    """A network, and whether it is trained."""

    layers: Callable[[int], list[Layer]]
    trained: bool


NETWORKS = {
    "resnet50": Network(resnet50, True),
    "mobilenet_v2": Network(mobilenet_v2, True),
    "unet": Network(unet, True),
    "resnet18": Network(resnet18, False),
}


def _time_steps(network: Network) -> None:
    """Print the seconds of the first step in this process, and of the second."""
    import torch

    import convhub

    torch.ones(1, requires_grad=True).sum().backward(torch.ones(()))
    images, size = TRAINING if network.trained else INFERENCE
    pairs = []
    for layer in network.layers(size):
        needs_gradient = network.trained and layer.channels != 3
        x = torch.rand(images, layer.channels, layer.size, layer.size, requires_grad=needs_gradient)
        kernels = (layer.out_channels, layer.channels // layer.groups)
        shape = kernels[::-1] if layer.transposed else kernels
        pairs.append((x, torch.rand(*shape, layer.taps, layer.taps, requires_grad=network.trained)))
    for _ in range(2):
        begin = time.perf_counter()
        results = []
        for layer, (x, weight) in zip(network.layers(size), pairs, strict=True):
            call = convhub.conv_transpose2d if layer.transposed else convhub.conv2d
            settings = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups}
            results.append(call(x, weight, backend="numba", **settings))
        if network.trained:
            for result in reversed(results):
                result.backward(torch.ones_like(result))
        print(time.perf_counter() - begin)


def _in_new_process(name: str, folder: str) -> list[float]:
    command = [sys.executable, __file__, "--steps", name]
    environment = os.environ | {"NUMBA_CACHE_DIR": folder}
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return [float(line) for line in output.split()]


def _main(names: list[str]) -> None:
    print(f"{'seconds':14}{'cold':>8}{'warm':>8}{'again':>8}")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            cold, _ = _in_new_process(name, folder)
            warm, again = _in_new_process(name, folder)
        print(f"{name:14}{cold:8.2f}{warm:8.2f}{again:8.2f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--steps"]:
        _time_steps(NETWORKS[sys.argv[2]])
    else:
        _main(sys.argv[1:] or list(NETWORKS))
