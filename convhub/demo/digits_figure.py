"""Draws the losses of training, and the network's answers for digits that it has never seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..plotting import ACCENT, INK, MUTED, SECOND, canvas, heading, picture
from .digits import LEAST_ACCURACY, NOISE, Report

__all__ = ["draw"]

COLUMNS = 16


def draw(report: Report, path: Path) -> None:
    """Save the figure as a PNG."""
    with canvas(path, 12, 6.7) as figure:
        last = report.epochs[-1]
        figure.text(
            0.0135,
            0.957,
            "A network learns to read and to clean digits",
            fontsize=15,
            fontweight="bold",
            va="center",
        )
        figure.text(
            0.9865,
            0.957,
            "convolutions, transposed convolution and all gradients by convhub, on NumPy arrays",
            color=MUTED,
            va="center",
            ha="right",
        )
        _losses(figure.add_axes((0.052, 0.535, 0.43, 0.33)), report)
        _accuracies(figure.add_axes((0.5565, 0.535, 0.43, 0.33)), report)
        figure.text(0.0135, 0.435, "Held-out digits", fontsize=10, fontweight="bold", va="center")
        figure.text(
            0.9865,
            0.435,
            f"read right: {100 * last.accuracy:.1f} % as they are, {100 * report.noisy_accuracy:.1f} % "
            "with noise; the right half are those it found hardest",
            fontsize=8.5,
            color=MUTED,
            va="center",
            ha="right",
        )
        rows = {
            "noisy": report.noisy,
            "cleaned": report.answers.finisher,
            "original": report.data.test_pictures,
        }
        guesses = report.answers.digits
        figure.text(0.0135, 0.0135, "read as", fontsize=8.5, color=MUTED, va="baseline")
        for row, (name, pictures) in enumerate(rows.items()):
            bottom = 0.285 - row * 0.125
            figure.text(0.0135, bottom + 0.058, name, fontsize=8.5, color=MUTED, va="center")
            for column, index in enumerate(_shown(report)):
                # The hardest digits are set a little apart.
                left = 0.066 + column * 0.0572 + (0.0068 if column >= COLUMNS // 2 else 0)
                axes = figure.add_axes((left, bottom, 0.0545, 0.116))
                picture(axes, pictures[index, 0], cmap="gray_r", vmin=0, vmax=1, aspect="auto")
                for spine in axes.spines.values():
                    spine.set(visible=True, color="#d5d9de", linewidth=0.6)
                if row == 2:
                    truth, guess = report.data.test_digits[index], guesses[index]
                    right = truth == guess
                    axes.set_xlabel(
                        f"{guess}" if right else f"{guess}, not {truth}",
                        fontsize=8.5,
                        labelpad=2,
                        color=INK if right else SECOND,
                        fontweight="normal" if right else "bold",
                    )


def _losses(axes: Axes, report: Report) -> None:
    epochs = np.arange(1, len(report.epochs) + 1)
    digit = [epoch.digit_loss for epoch in report.epochs]
    painted = [epoch.picture_loss for epoch in report.epochs]
    heading(axes, "Training loss", f"a mean over each epoch; noise of standard deviation {NOISE}")
    axes.set_yscale("log")
    for values, colour, name in (
        (digit, ACCENT, "digit: cross entropy"),
        (painted, SECOND, "picture: squared error"),
    ):
        axes.plot(epochs, values, color=colour, linewidth=1.8, marker="o", markersize=3)
        axes.annotate(
            name,
            (epochs[min(1, len(epochs) - 1)], values[min(1, len(epochs) - 1)]),
            xytext=(8, 5),
            textcoords="offset points",
            color=colour,
            fontweight="bold",
            fontsize=8.5,
        )
    _by_epoch(axes, len(epochs))


def _accuracies(axes: Axes, report: Report) -> None:
    epochs = np.arange(1, len(report.epochs) + 1)
    wrong = [100 * (1 - epoch.accuracy) for epoch in report.epochs]
    heading(
        axes,
        f"Test error, %: {wrong[-1]:.1f} at the end",
        f"{len(report.data.test_digits)} digits that were not trained on",
    )
    axes.plot(epochs, wrong, color=ACCENT, linewidth=1.8, marker="o", markersize=3)
    limit = 100 * (1 - LEAST_ACCURACY)
    axes.axhline(limit, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.annotate(
        f"at most {limit:.0f} %",
        (epochs[-1], limit),
        xytext=(0, 4),
        textcoords="offset points",
        ha="right",
        color=MUTED,
        fontsize=8.5,
    )
    axes.set_ylim(0, max(*wrong, limit, 1) * 1.12)
    _by_epoch(axes, len(epochs))


def _by_epoch(axes: Axes, count: int) -> None:
    axes.set_xlabel("epoch")
    axes.set_xlim(0.5, count + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color="#e6e9ed", linewidth=0.8)
    axes.set_axisbelow(True)


def _shown(report: Report) -> list[int]:
    """Return the first test pictures, and those where the right digit's score leads by least, worst first."""
    scores, digits = report.answers.scorer[:, :, 0, 0], report.data.test_digits
    right = scores[np.arange(len(digits)), digits]
    others = scores.copy()
    others[np.arange(len(digits)), digits] = -np.inf
    hardest = np.argsort(right - others.max(1))[: COLUMNS // 2]
    easy = [index for index in range(len(digits)) if index not in hardest][: COLUMNS - len(hardest)]
    return [*easy, *map(int, hardest)]
