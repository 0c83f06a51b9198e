"""Runs ``convhub demo``: random layers, a photograph and a network, with figures."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from typing import TYPE_CHECKING, Any

import rich.console

from ..errors import ConvhubError
from .needs import check_installed
from .printing import heading, line

if TYPE_CHECKING:
    from . import digits, layers, photo

__all__ = ["DemoFailedError", "run"]


class DemoFailedError(ConvhubError):
    """A result of the demo is wrong; all files were still written."""


def run(output: pathlib.Path, console: rich.console.Console) -> None:
    """Run the three parts of the demo on every backend that can run here.

    Parameters
    ----------
    output : pathlib.Path
        Folder for ``photo.png``, ``digits.png`` and ``summary.json``; created if missing.
    console : rich.console.Console
        Where tables and progress are printed.

    Raises
    ------
    ModuleNotFoundError
        If a package of ``convhub[demo]`` is missing.
    DemoFailedError
        If an error is above its bound, the photograph is not rebuilt, or the network has learned too little.
    """
    check_installed()
    from . import digits, digits_figure, digits_table, layers, layers_table, photo, photo_figure, photo_table

    start = time.perf_counter()
    output.mkdir(parents=True, exist_ok=True)
    heading(console, "1. Ten random layers of each kind, forward and all gradients")
    of_layers = layers.run(console)
    layers_table.show(of_layers, console)
    heading(console, "2. A photograph, taken apart and rebuilt")
    of_photo = photo.run(console)
    photo_table.show(of_photo, console)
    photo_figure.draw(of_photo, output / "photo.png")
    heading(console, "3. A network that learns to read and to clean digits")
    of_digits = digits.run(console)
    digits_table.show(of_digits, console)
    digits_figure.draw(of_digits, output / "digits.png")

    seconds = time.perf_counter() - start
    failures = [*of_layers.failures, *of_photo.failures, *of_digits.failures]
    summary = _summary(of_layers, of_photo, of_digits) | {"seconds": seconds, "failures": failures}
    (output / "summary.json").write_text(json.dumps(summary, indent=2, default=str) + "\n", encoding="utf-8")
    heading(console, f"Done in {seconds:.0f} s")
    line(console, f"In {output.resolve()}:")
    for name, content in (
        ("photo.png", "the photograph, what the filters see, and what is rebuilt from it"),
        ("digits.png", "how the network learned, and digits that it cleaned"),
        ("summary.json", "every figure above, and more"),
    ):
        line(console, f"  {name:<13} {content}")
    if failures:
        raise DemoFailedError(
            "the demo came out wrong:\n" + "\n".join(f"  {failure}" for failure in failures)
        )


def _summary(of_layers: layers.Report, of_photo: photo.Report, of_digits: digits.Report) -> dict[str, Any]:
    """Return all numbers, without the pictures."""
    numbers = ("drawn_by", "kept", "psnr", "sizes", "milliseconds", "fractions", "pixels_changed", "gigamacs")
    return {
        "layers": dataclasses.asdict(of_layers),
        "photo": {name: getattr(of_photo, name) for name in (*numbers, "rounds", "declined")},
        "digits": {
            "epochs": [epoch._asdict() for epoch in of_digits.epochs],
            "seconds": of_digits.seconds,
            "noisy_accuracy": of_digits.noisy_accuracy,
            "backends": {
                str(part.problem): {
                    "backend": part.backend,
                    "algorithm": part.algorithm,
                    "source": part.source,
                }
                for parts in of_digits.parts.values()
                for part in parts
            },
        },
    }
