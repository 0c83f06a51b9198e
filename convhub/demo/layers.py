"""Runs random layers, forward and all gradients, on every backend, and compares with float64 and torch.

This extends the experiment of the notebook that convhub grew out of, which had only stride 1, no padding and
square kernels, and compared only by an absolute mean squared error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from .. import api
from ..dispatch import candidates
from ..errors import UnsupportedProblemError
from ..explanation import explain
from .bound import Reference, channel_sum, fraction_of_bound, reference
from .torch_direct import ITSELF, torch_gradients

__all__ = ["QUANTITIES", "Arrays", "Layer", "Report", "draw", "measure", "random_layer", "run"]

QUANTITIES = ("output", "grad input", "grad weight", "grad bias")
OPERATIONS = ("conv2d", "conv_transpose2d")

Array = NDArray[Any]
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its operation, the shapes of its operands, and the rest of the call."""

    operation: str
    input_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    options: dict[str, Any]

    @property
    def function(self) -> Callable[..., Array]:
        """The convhub function that runs it."""
        return getattr(api, self.operation)  # type: ignore[no-any-return]

    @property
    def backward(self) -> Callable[..., api.Gradients[Any]]:
        """The convhub function that gives its gradients."""
        return getattr(api, f"{self.operation}_backward")  # type: ignore[no-any-return]


class Arrays(NamedTuple):
    """The arrays that a layer is run on."""

    input: Array
    weight: Array
    bias: Array
    grad_output: Array


@dataclass(frozen=True, slots=True)
class Report:
    """The results, by backend, then operation, then quantity.

    `fractions` holds the worst error as a fraction of the bound, `mse` the least and the largest mean squared
    difference from torch in float32 (empty without torch), `notebook` the fraction of the bound of the
    original notebook's results.
    """

    layers: list[str]
    fractions: dict[str, dict[str, dict[str, float]]]
    mse: dict[str, dict[str, dict[str, Range]]]
    notebook: dict[str, float]
    declined: dict[str, list[str]] = field(default_factory=dict)

    @property
    def failures(self) -> list[str]:
        """One line for each error that is larger than the bound."""
        return [
            f"{backend}: {quantity} of {operation} is {value:.3g} times the bound"
            for backend, operations in self.fractions.items()
            for operation, quantities in operations.items()
            for quantity, value in quantities.items()
            if not value <= 1
        ]


def random_layer(operation: str, generator: np.random.Generator) -> Layer:
    """Return a layer with sizes drawn as in the notebook, and the parameters that it left out.

    Channels and batch are 1 to 10, kernel 1 to 5, images 5 to 10; stride, padding, dilation, groups and
    output padding are added, separately for each axis.
    """

    def pair(least: int, most: int) -> tuple[int, int]:
        return int(generator.integers(least, most + 1)), int(generator.integers(least, most + 1))

    while True:
        groups = int(generator.choice([1, 1, 2, 3]))
        in_channels, out_channels = (groups * int(generator.integers(1, 10 // groups + 1)) for _ in "io")
        batch, size, kernel = int(generator.integers(1, 11)), pair(5, 10), pair(1, 5)
        stride, padding, dilation = pair(1, 3), pair(0, 2), pair(1, 2)
        reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        if operation == "conv2d":
            if all(r <= s + 2 * p for r, s, p in zip(reach, size, padding, strict=True)):
                weight_shape = (out_channels, in_channels // groups, *kernel)
                return Layer(operation, (batch, in_channels, *size), weight_shape, options)
        elif all(p < r for p, r in zip(padding, reach, strict=True)):
            extra = [int(generator.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True)]
            weight_shape = (in_channels, out_channels // groups, *kernel)
            options["output_padding"] = (extra[0], extra[1])
            return Layer(operation, (batch, in_channels, *size), weight_shape, options)


def draw(layer: Layer, generator: np.random.Generator) -> Arrays:
    """Return random float32 arrays like the notebook's, but with a random gradient instead of only ones."""
    fan = (layer.weight_shape[0] + layer.weight_shape[1]) * layer.weight_shape[2] * layer.weight_shape[3]
    image = generator.random(layer.input_shape, np.float32)
    # Xavier's initialization, as in the notebook.
    weight = (generator.uniform(-1, 1, layer.weight_shape) * np.sqrt(6 / fan)).astype(np.float32)
    groups = layer.options["groups"]
    transposed = layer.operation == "conv_transpose2d"
    outputs = layer.weight_shape[1] * groups if transposed else layer.weight_shape[0]
    bias = generator.random(outputs, np.float32)
    problem = explain(layer.function, image, weight, **layer.options).parts[0].problem
    return Arrays(image, weight, bias, generator.standard_normal(problem.result_shape, np.float32))


def run(console: Console, layers: int = 10, seed: int = 0) -> Report:
    """Measure `layers` random layers of each operation on every backend that can run on the CPU."""
    generator = np.random.default_rng(seed)
    drawn = [random_layer(operation, generator) for operation in OPERATIONS for _ in range(layers)]
    backends = candidates.available_backends("cpu")
    errors: dict[str, dict[str, dict[str, list[float]]]] = {}
    squares: dict[str, dict[str, dict[str, list[float]]]] = {}
    report = Report([], {}, {}, {})
    for layer in track(
        drawn, "random layers", console=console, transient=True, disable=not console.is_terminal
    ):
        arrays = draw(layer, generator)
        report.layers.append(str(explain(layer.function, *arrays[:2], **layer.options).parts[0].problem))
        references = _references(layer, arrays)
        from_torch = torch_gradients(layer.operation, arrays[:3], arrays.grad_output, layer.options)
        if from_torch is not None:
            found = dict(zip(QUANTITIES, from_torch, strict=True))
            _collect(errors, ITSELF, layer, measure(found, references))
        for backend in backends:
            try:
                results = _results(layer, arrays, backend)
            except UnsupportedProblemError as refusal:
                report.declined.setdefault(backend, []).append(str(refusal))
                continue
            _collect(errors, backend, layer, measure(results, references, backend))
            if from_torch is not None:
                differences = zip(QUANTITIES, results.values(), from_torch, strict=True)
                mse = {q: float(np.mean((ours - theirs) ** 2)) for q, ours, theirs in differences}
                _collect(squares, backend, layer, mse)
        if layer.operation == "conv_transpose2d":
            for quantity, value in _as_in_the_notebook(references).items():
                report.notebook[quantity] = max(value, report.notebook.get(quantity, 0))
    for backend, operations in errors.items():
        report.fractions[backend] = {o: {q: max(v) for q, v in by.items()} for o, by in operations.items()}
    for backend, operations in squares.items():
        report.mse[backend] = {
            o: {q: (min(v), max(v)) for q, v in by.items()} for o, by in operations.items()
        }
    return report


def measure(
    results: dict[str, Array], references: dict[str, Reference], backend: str = ""
) -> dict[str, float]:
    """Return the error of each quantity as a fraction of its bound."""
    return {q: fraction_of_bound(result, references[q], backend) for q, result in results.items()}


def _results(layer: Layer, arrays: Arrays, backend: str) -> dict[str, Array]:
    image, weight, bias, grad_output = arrays
    output = layer.function(image, weight, bias, **layer.options, backend=backend)
    gradients = layer.backward(grad_output, image, weight, **layer.options, backend=backend)
    results: tuple[Any, ...] = (output, *gradients)
    return dict(zip(QUANTITIES, results, strict=True))


def _references(layer: Layer, arrays: Arrays) -> dict[str, Reference]:
    image, weight, bias, grad_output = arrays
    (forward,) = explain(layer.function, image, weight, **layer.options).parts
    for_input, for_weight = explain(layer.backward, grad_output, image, weight, **layer.options).parts
    operands = (grad_output, image) if layer.operation == "conv2d" else (image, grad_output)
    return {
        "output": reference(forward.problem, image, weight, bias),
        "grad input": reference(for_input.problem, grad_output, weight),
        "grad weight": reference(for_weight.problem, *operands),
        "grad bias": channel_sum(grad_output),
    }


def _as_in_the_notebook(references: dict[str, Reference]) -> dict[str, float]:
    """Return how wrong the notebook's two made-up gradients of the transposed convolution are."""
    bias = references["grad bias"]
    zeros = np.zeros(references["grad input"].right.value.shape, np.float32)
    count = np.full(bias.right.value.shape, bias.terms, np.float32)
    return measure({"grad input": zeros, "grad bias": count}, references)


def _collect(
    table: dict[str, dict[str, dict[str, list[float]]]], name: str, layer: Layer, values: dict[str, float]
) -> None:
    for quantity, value in values.items():
        by_quantity = table.setdefault(name, {}).setdefault(layer.operation, {})
        by_quantity.setdefault(quantity, []).append(value)
