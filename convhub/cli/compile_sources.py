"""Reads what ``convhub compile`` compiles: the problems of its command line, and of what that names."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from ..ahead.problems import common_layers, of_layers, of_log
from ..bench.layers import read_file
from ..errors import ArgumentError, did_you_mean
from ..problem import ITEM_BYTES, Problem
from .needs import need

__all__ = ["EVERY_DTYPE", "Sources"]

#: The dtypes of --all, unless others are named; tables have the first, as for `convhub bench`.
EVERY_DTYPE = ("float32", "float64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the command line says of the problems; each by the name of its option."""

    problems: Sequence[str]
    model: str | None
    input: str | None
    shapes: Path | None
    from_log: Path | None
    every: bool
    dtypes: Sequence[str]
    primitive: str | None

    def read(self) -> list[Problem]:
        """Return the problems to compile, each once.

        Raises
        ------
        ArgumentError, typer.BadParameter
            If there are none, or they cannot be read.
        """
        given = {
            "PROBLEM": bool(self.problems),
            "--model": self.model is not None,
            "--shapes": self.shapes is not None,
            "--from-log": self.from_log is not None,
            "--all": self.every,
        }
        if sum(given.values()) != 1:
            raise typer.BadParameter(f"give one of {', '.join(given)}")
        if self.input is not None and self.model is None:
            raise typer.BadParameter("--input is for --model: leave it out")
        for dtype in self.dtypes:
            if dtype not in ITEM_BYTES:
                near = did_you_mean(dtype[:60], ITEM_BYTES)
                raise ArgumentError(f"--dtype is {dtype!r}; it must be one of {', '.join(ITEM_BYTES)}.{near}")
        if self.problems:
            self._refuse_options("a PROBLEM says it itself")
            return list(dict.fromkeys(map(Problem.parse, self.problems)))
        if self.from_log is not None:
            self._refuse_options("a log says it itself")
            return _of_log(self.from_log)
        return self._of_model(self.model) if self.model is not None else self._of_tables()

    def command(self, *flags: str, **options: str | None) -> str:
        """Return the command line that names them, with further flags and options."""
        named = {
            "--model": self.model,
            "--input": self.input,
            "--shapes": self.shapes,
            "--from-log": self.from_log,
            "--dtype": ",".join(self.dtypes) or None,
            "--primitive": self.primitive,
            **{f"--{name}": value for name, value in options.items()},
        }
        words = ["convhub", "compile", *flags, *(["--all"] if self.every else []), *self.problems]
        for name, value in named.items():
            if value is not None:
                words += [name, str(value)]
        return shlex.join(words)

    def _of_model(self, name: str) -> list[Problem]:
        if self.primitive not in (None, "forward", "all"):
            raise typer.BadParameter("--primitive of a model is forward, for inference, or all")
        need("torch", "--model", "convhub[torch]")
        from ..ahead.model import input_shape, made_model, problems_of_model

        shape = None if self.input is None else input_shape(self.input)
        model, example = made_model(name)
        if example is None and shape is None:
            raise ArgumentError(
                f"--model is {name!r}, which gives no example of an input: add --input, such as 8x3x224x224"
            )
        found = problems_of_model(model, example, shape, self.primitive != "forward")
        if not self.dtypes:
            return found
        return list(dict.fromkeys(problem.replace(dtype=dtype) for dtype in self.dtypes for problem in found))

    def _of_tables(self) -> list[Problem]:
        layers, are_texts = (common_layers(), False) if self.shapes is None else read_file(self.shapes)
        if are_texts:
            self._refuse_options("a file of problems says it itself")
            return list(dict.fromkeys(layer.problem for layer in layers))
        dtypes = self.dtypes or (EVERY_DTYPE if self.every else EVERY_DTYPE[:1])
        return of_layers(layers, self.primitive or "all", dtypes)

    def _refuse_options(self, why: str) -> None:
        for option, is_given in (("--dtype", bool(self.dtypes)), ("--primitive", self.primitive is not None)):
            if is_given:
                raise typer.BadParameter(f"{option} is for layers: leave it out, since {why}")


def _of_log(path: Path) -> list[Problem]:
    if str(path) == "-":
        return of_log(sys.stdin, "standard input")
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise ArgumentError(f"--from-log is {str(path)!r}, which cannot be read: {error}") from error
    return of_log(lines, str(path))
