"""Builds a small network on NumPy arrays, with all convolutions and gradients by convhub.

It reads a noisy 8 × 8 picture of a digit, classifies the digit, and paints the picture without the noise (a
denoising autoencoder: Vincent et al., 2008). ``relu`` follows `first`, `second` and `painter`::

    noisy    (1, 8, 8)
      first    conv 3 × 3            (32, 8, 8)
      second   conv 3 × 3, stride 2  (64, 4, 4) ──┬── scorer    conv 4 × 4                       (10, 1, 1)
                                                  └── painter   transposed conv 4 × 4, stride 2  (16, 8, 8)
                                                      finisher  conv 3 × 3                       (1, 8, 8)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..api import Gradients, conv2d, conv2d_backward, conv_transpose2d, conv_transpose2d_backward

__all__ = [
    "OPTIONS",
    "Adam",
    "Answers",
    "Losses",
    "Parameters",
    "apply",
    "initial_parameters",
    "losses_and_gradients",
]

Array = NDArray[Any]
Parameters = dict[str, Array]

#: The weight of the picture's loss relative to the digit's.
PICTURE_SHARE = 2.0

#: The arguments of each layer besides its input, weight and bias.
OPTIONS: dict[str, dict[str, int]] = {
    "first": {"padding": 1},
    "second": {"stride": 2, "padding": 1},
    "scorer": {},
    "painter": {"stride": 2, "padding": 1},
    "finisher": {"padding": 1},
}


class Answers(NamedTuple):
    """The layers' outputs for a batch of pictures."""

    first: Array
    second: Array
    scorer: Array
    painter: Array
    finisher: Array

    @property
    def digits(self) -> NDArray[np.intp]:
        """The digit with the highest score, (N,)."""
        digits: NDArray[np.intp] = self.scorer[:, :, 0, 0].argmax(1)
        return digits


class Losses(NamedTuple):
    """Cross entropy of the digits, in nats, and mean squared error of the pictures."""

    digit: float
    picture: float

    @property
    def total(self) -> float:
        """The loss that training minimizes."""
        return self.digit + PICTURE_SHARE * self.picture


def initial_parameters(generator: np.random.Generator, dtype: str = "float32") -> Parameters:
    """Return random weights, scaled for rectified layers (He et al., 2015), and zero biases."""
    shapes = {
        "first": (32, 1, 3, 3),
        "second": (64, 32, 3, 3),
        "scorer": (10, 64, 4, 4),
        "painter": (64, 16, 4, 4),
        "finisher": (1, 16, 3, 3),
    }
    parameters: Parameters = {}
    for name, shape in shapes.items():
        transposed = name == "painter"
        # With stride 2, a pixel of the transposed layer sums a quarter of the kernel's taps.
        terms = shape[0] * shape[2] * shape[3] // 4 if transposed else int(np.prod(shape[1:]))
        parameters[f"{name} weight"] = (generator.standard_normal(shape) * np.sqrt(2 / terms)).astype(dtype)
        parameters[f"{name} bias"] = np.zeros(shape[1 if transposed else 0], dtype)
    return parameters


def apply(parameters: Parameters, pictures: Array) -> Answers:
    """Return the network's answers for pictures of shape (N, 1, 8, 8)."""

    def layer(function: Callable[..., Array], name: str, given: Array) -> Array:
        return function(given, parameters[f"{name} weight"], parameters[f"{name} bias"], **OPTIONS[name])

    first = np.maximum(layer(conv2d, "first", pictures), 0)
    second = np.maximum(layer(conv2d, "second", first), 0)
    painter = np.maximum(layer(conv_transpose2d, "painter", second), 0)
    return Answers(
        first, second, layer(conv2d, "scorer", second), painter, layer(conv2d, "finisher", painter)
    )


def losses_and_gradients(
    parameters: Parameters, noisy: Array, clean: Array, digits: NDArray[np.intp]
) -> tuple[Losses, Parameters]:
    """Return the losses over a batch, and the gradient of their weighted sum for each parameter."""
    answers = apply(parameters, noisy)
    count, examples = len(digits), np.arange(len(digits))
    scores = answers.scorer[:, :, 0, 0]
    shifted = scores - scores.max(1, keepdims=True)
    logarithms = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    difference = answers.finisher - clean
    losses = Losses(float(-logarithms[examples, digits].mean()), float(np.mean(difference**2)))

    grad_scores = np.exp(logarithms)
    grad_scores[examples, digits] -= 1
    grad_scores = grad_scores[:, :, None, None] / count
    grad_pictures = difference * (2 * PICTURE_SHARE / difference.size)

    gradients: Parameters = {}

    def back(function: Callable[..., Gradients[Any]], name: str, grad_output: Array, given: Array) -> Array:
        """Store the gradients of one layer's parameters, and return that of its input."""
        found: Any = function(grad_output, given, parameters[f"{name} weight"], **OPTIONS[name])
        gradients[f"{name} weight"], gradients[f"{name} bias"] = found.weight, found.bias
        grad_input: Array = found.input
        return grad_input

    from_scores = back(conv2d_backward, "scorer", grad_scores, answers.second)
    grad_painter = back(conv2d_backward, "finisher", grad_pictures, answers.painter) * (answers.painter > 0)
    from_pictures = back(conv_transpose2d_backward, "painter", grad_painter, answers.second)
    grad_second = (from_scores + from_pictures) * (answers.second > 0)
    grad_first = back(conv2d_backward, "second", grad_second, answers.first) * (answers.first > 0)
    back(conv2d_backward, "first", grad_first, noisy)
    return losses, gradients


class Adam:
    """The optimizer of Kingma and Ba (2015), for a dictionary of arrays."""

    def __init__(self, parameters: Parameters, rate: float) -> None:
        self.rate, self.steps = rate, 0
        self.means = {name: np.zeros_like(value) for name, value in parameters.items()}
        self.squares = {name: np.zeros_like(value) for name, value in parameters.items()}

    def step(self, parameters: Parameters, gradients: Parameters) -> None:
        """Update `parameters` in place."""
        self.steps += 1
        for name, gradient in gradients.items():
            mean, square = self.means[name], self.squares[name]
            mean += (1 - 0.9) * (gradient - mean)
            square += (1 - 0.999) * (gradient**2 - square)
            expected = mean / (1 - 0.9**self.steps)
            spread = np.sqrt(square / (1 - 0.999**self.steps))
            parameters[name] -= self.rate * expected / (spread + 1e-8)
