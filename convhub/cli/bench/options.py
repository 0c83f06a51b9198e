"""Holds what the command line of ``convhub bench`` says, and refuses options that a mode has no use for."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

__all__ = ["EXTRA", "Options", "check_only", "given"]

EXTRA = "convhub[bench]"

#: What the command that repeats a benchmark leaves out.
DEFAULTS = {
    "against": "torch",
    "device": "cpu",
    "threads": 1,
    "accuracy": "standard",
    "memory": "both",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is timed, and how; each by the name of its option.

    `given` holds the names of the parameters that stood on the command line.
    """

    problems: Sequence[str]
    backend: str | None
    against: str
    shapes: Path | None
    dtype: str | None
    primitive: str | None
    classes: Sequence[str]
    device: str
    threads: int
    accuracy: str
    tf32: bool
    memory: str
    quick: bool
    every: bool
    given: frozenset[str]

    @property
    def command(self) -> str:
        """The command line that repeats the benchmark; what has its default is left out."""
        options: dict[str, object] = {
            "backend": self.backend,
            "against": self.against,
            "shapes": self.shapes,
            "dtype": self.dtype,
            "primitive": self.primitive,
            "classes": ",".join(self.classes) or None,
            "device": self.device,
            "threads": self.threads,
            "accuracy": self.accuracy,
            "tf32": self.tf32,
            "memory": self.memory,
            "quick": self.quick,
            "all": self.every,
        }
        words = ["convhub", "bench", *self.problems]
        for name, value in options.items():
            if value is True:
                words.append(f"--{name}")
            elif value not in (None, False, DEFAULTS.get(name)):
                words += [f"--{name}", str(value)]
        return shlex.join(words)


def given(context: typer.Context) -> frozenset[str]:
    """Return the names of the parameters that stood on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    # click before 8.2 says so of arguments of which there are none, too.
    empty = {name for name, value in context.params.items() if value is None or value in ((), [])}
    return frozenset(
        name
        for name, source in sources.items()
        if source is not None and source.name == "COMMANDLINE" and name not in empty
    )


def check_only(context: typer.Context, allowed: Sequence[str], why: str) -> None:
    """Refuse what stands on the command line beside the parameters that a mode takes."""
    there = given(context)
    for parameter in context.command.params:
        if parameter.name not in allowed and parameter.name in there:
            named = parameter.opts[0] if parameter.param_type_name == "option" else "PROBLEM"
            raise typer.BadParameter(f"{why}: leave {named} out")
