"""Makes a layer a call of convhub, and a call of torch.

Both are called like a user calls them, with NumPy arrays or tensors of the same memory: convhub by its
exported functions, torch by ``torch.conv2d``, ``torch.conv_transpose2d`` and
``torch.ops.aten.convolution_backward``, the operator that its autograd calls. Neither gets a bias.

`convhub.bench.sides` does the same for the command, and more, but asv needs code that also runs on revisions
without that module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import convhub


class Layer(NamedTuple):
    """A problem, and whether it is a call of ``conv_transpose2d`` or its gradients."""

    problem: convhub.Problem
    transposed: bool = False


class Operands(NamedTuple):
    """Arrays with the shapes of a problem's input, weight and output; each call uses those that it needs."""

    x: Any
    w: Any
    dy: Any


def operands(problem: convhub.Problem) -> Operands:
    """Return the same standard normal numbers each time."""
    random = np.random.default_rng(0)
    shapes = (problem.input_shape, problem.weight_shape, problem.output_shape)
    return Operands(*(random.standard_normal(shape, problem.dtype) for shape in shapes))


def convhub_call(layer: Layer, given: Operands, backend: str) -> Callable[[], Any]:
    """Return the call of convhub's function on a backend."""
    (x, w, dy), primitive = given, layer.problem.primitive
    named: dict[str, Any] = {"backend": backend, **_options(layer.problem)}
    if layer.transposed:
        if primitive == "grad_input":
            return lambda: convhub.conv_transpose2d(dy, w, **named)
        backward, first, second = convhub.conv_transpose2d_backward, x, dy
    else:
        if primitive == "forward":
            return lambda: convhub.conv2d(x, w, **named)
        backward, first, second = convhub.conv2d_backward, dy, x
    which, mask = _gradient(primitive)
    return lambda: backward(first, second, w, output_mask=mask, **named)[which]


def torch_call(layer: Layer, given: Operands) -> Callable[[], Any]:
    """Return the call of torch's own function."""
    import torch

    x, w, dy = map(torch.from_numpy, given)
    options, primitive = _options(layer.problem), layer.problem.primitive
    if layer.transposed and primitive == "grad_input":
        return lambda: torch.conv_transpose2d(dy, w, **options)
    if not layer.transposed and primitive == "forward":
        return lambda: torch.conv2d(x, w, **options)
    stride, padding, dilation = options["stride"], options["padding"], options["dilation"]
    which, mask = _gradient(primitive)
    rest = (w, None, stride, padding, dilation, layer.transposed, (0, 0), options["groups"], mask)
    first, second = (x, dy) if layer.transposed else (dy, x)
    return lambda: torch.ops.aten.convolution_backward(first, second, *rest)[which]


def _options(problem: convhub.Problem) -> dict[str, Any]:
    """Return the arguments that convhub and torch share; all layers have the same padding on both sides."""
    return {
        "stride": problem.stride,
        "padding": (problem.padding[0][0], problem.padding[1][0]),
        "dilation": problem.dilation,
        "groups": problem.groups,
    }


def _gradient(primitive: str) -> tuple[int, tuple[bool, bool, bool]]:
    """Return the index of the gradient that a primitive computes, and the mask that selects it."""
    which = int(primitive == "grad_weight")
    return which, (which == 0, which == 1, False)
