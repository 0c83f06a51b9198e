"""Defines the values of options that have a few.

typer knows `Literal` from version 0.19 on, and `Enum` in every version. Each member is named as it is
written on the command line, and its ``value`` is that text.
"""

from __future__ import annotations

from enum import StrEnum, auto

__all__ = ["AccuracyChoice", "LevelChoice", "MemoryChoice", "PrimitiveChoice"]


class AccuracyChoice(StrEnum):
    """The setting ``accuracy``."""

    standard = auto()
    strict = auto()


class LevelChoice(StrEnum):
    """How much the conformance suite tries."""

    quick = auto()
    full = auto()


class MemoryChoice(StrEnum):
    """What becomes of freed memory while the benchmark runs."""

    both = auto()
    keep = auto()
    system = auto()


class PrimitiveChoice(StrEnum):
    """Which primitives of a table of layers are timed."""

    forward = auto()
    grad_input = auto()
    grad_weight = auto()
    all = auto()
