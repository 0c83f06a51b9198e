"""Trains a small network with a transposed layer to read and denoise handwritten digits."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from ..api import conv2d, conv2d_backward, conv_transpose2d, conv_transpose2d_backward
from ..explanation import Part, explain
from .network import OPTIONS, Adam, Answers, Parameters, apply, initial_parameters, losses_and_gradients

__all__ = ["LEAST_ACCURACY", "Data", "Epoch", "Report", "chosen_backends", "load", "run"]

#: The least test accuracy; the network ends well above it.
LEAST_ACCURACY = 0.97

#: Standard deviation of the noise, where ink is 1 and paper 0.
NOISE = 0.15

#: The initial learning rate; it falls to zero along half a cosine.
RATE = 0.003

Array = NDArray[Any]


class Data(NamedTuple):
    """Pictures (N, 1, 8, 8) from 0 to 1 and their digits, for training and for the test."""

    pictures: Array
    digits: NDArray[np.intp]
    test_pictures: Array
    test_digits: NDArray[np.intp]


class Epoch(NamedTuple):
    """Mean losses over one pass through the training pictures, and test accuracy after it."""

    digit_loss: float
    picture_loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Report:
    """The course of training; `answers` are those for `noisy`, the test pictures with noise."""

    data: Data
    epochs: list[Epoch]
    seconds: float
    noisy: Array
    answers: Answers
    noisy_accuracy: float
    parts: dict[str, tuple[Part, ...]] = field(default_factory=dict)

    @property
    def failures(self) -> list[str]:
        """One line if the network learned too little."""
        accuracy = self.epochs[-1].accuracy
        if accuracy >= LEAST_ACCURACY:
            return []
        return [
            f"digits: the test accuracy is {100 * accuracy:.1f} %; "
            f"it must be {100 * LEAST_ACCURACY:.0f} % or more"
        ]


def load(dtype: str = "float32") -> Data:
    """Return scikit-learn's digits: four fifths for training, one fifth for the test, always the same."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    pictures = (bunch.images[:, None] / 16).astype(dtype)
    learn, test, digits, test_digits = train_test_split(
        pictures, bunch.target, test_size=0.2, random_state=0, stratify=bunch.target
    )
    return Data(learn, digits, test, test_digits)


def run(console: Console, epochs: int = 20, batch: int = 32, seed: int = 0) -> Report:
    """Train on the backend that convhub chooses, and test on pictures not used for training."""
    generator = np.random.default_rng(seed)
    data = load()
    parameters = initial_parameters(generator)
    parts = chosen_backends(parameters, data.pictures[:batch])
    optimizer = Adam(parameters, RATE)
    history: list[Epoch] = []
    start = time.perf_counter()
    hidden = not console.is_terminal
    for epoch in track(range(epochs), "digits: training", console=console, transient=True, disable=hidden):
        optimizer.rate = RATE * 0.5 * (1 + np.cos(np.pi * epoch / epochs))
        history.append(_epoch(parameters, optimizer, data, batch, generator))
    seconds = time.perf_counter() - start
    noisy = _with_noise(data.test_pictures, generator)
    answers = apply(parameters, noisy)
    return Report(data, history, seconds, noisy, answers, _accuracy(answers, data.test_digits), parts)


def chosen_backends(parameters: Parameters, pictures: Array) -> dict[str, tuple[Part, ...]]:
    """Return each layer's parts of `convhub.explain`: the forward problem, then those of its gradients."""
    answers = apply(parameters, pictures)
    given = {
        "first": pictures,
        "second": answers.first,
        "scorer": answers.second,
        "painter": answers.second,
        "finisher": answers.painter,
    }
    explained = {}
    for name, options in OPTIONS.items():
        forward, backward = (
            (conv_transpose2d, conv_transpose2d_backward) if name == "painter" else (conv2d, conv2d_backward)
        )
        operands = (given[name], parameters[f"{name} weight"])
        explained[name] = (
            explain(forward, *operands, **options).parts
            + explain(backward, getattr(answers, name), *operands, **options).parts
        )
    return explained


def _epoch(
    parameters: Parameters, optimizer: Adam, data: Data, batch: int, generator: np.random.Generator
) -> Epoch:
    order = generator.permutation(len(data.digits))
    digit_loss = picture_loss = 0.0
    for first in range(0, len(order), batch):
        chosen = order[first : first + batch]
        clean = _moved(data.pictures[chosen], generator)
        # Each picture has its own noise level, from none to full.
        noisy = _with_noise(clean, generator, generator.random((len(chosen), 1, 1, 1)))
        losses, gradients = losses_and_gradients(parameters, noisy, clean, data.digits[chosen])
        optimizer.step(parameters, gradients)
        digit_loss += losses.digit * len(chosen) / len(order)
        picture_loss += losses.picture * len(chosen) / len(order)
    accuracy = _accuracy(apply(parameters, data.test_pictures), data.test_digits)
    return Epoch(digit_loss, picture_loss, accuracy)


def _moved(pictures: Array, generator: np.random.Generator) -> Array:
    """Shift each picture by at most a pixel each way, so that the network does not learn positions."""
    padded = np.pad(pictures, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded[:, 0], (8, 8), (1, 2))
    down, across = generator.integers(0, 3, (2, len(pictures)))
    return np.ascontiguousarray(windows[np.arange(len(pictures)), down, across])[:, None]


def _with_noise(pictures: Array, generator: np.random.Generator, level: Array | float = 1.0) -> Array:
    noise = level * generator.normal(0, NOISE, pictures.shape)
    return pictures + noise.astype(pictures.dtype)  # type: ignore[no-any-return]


def _accuracy(answers: Answers, digits: NDArray[np.intp]) -> float:
    return float((answers.digits == digits).mean())
