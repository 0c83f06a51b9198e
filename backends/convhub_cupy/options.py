"""Defines the engine's own settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """The engine's own settings, ``[options.cupy]`` in a configuration file.

    Parameters
    ----------
    winograd : {"auto", "always", "never"}
        Whether Winograd's algorithm runs where it is likely the fastest, wherever it can, or nowhere. Where
        ``accuracy = "strict"`` it never does.
    """

    winograd: Literal["auto", "always", "never"] = "auto"
