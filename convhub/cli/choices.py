"""Defines the values of options with a fixed choice.

typer supports `Literal` from version 0.19 on, and `Enum` in every version. The name of each member, and its
``value``, is the word on the command line.
"""

from __future__ import annotations

from enum import StrEnum, auto

__all__ = ["AccuracyChoice", "CacheChoice", "LevelChoice", "MemoryChoice", "PrimitiveChoice"]


class AccuracyChoice(StrEnum):
    """The setting ``accuracy``."""

    standard = auto()
    strict = auto()


class CacheChoice(StrEnum):
    """What is done with compiled kernels."""

    show = auto()
    prune = auto()
    export = auto()
    import_ = "import"


class LevelChoice(StrEnum):
    """How many problems the conformance suite runs."""

    quick = auto()
    full = auto()


class MemoryChoice(StrEnum):
    """Whether freed memory stays with the process while the benchmark runs."""

    both = auto()
    keep = auto()
    system = auto()


class PrimitiveChoice(StrEnum):
    """Which primitives of a table of layers are timed."""

    forward = auto()
    grad_input = auto()
    grad_weight = auto()
    all = auto()
