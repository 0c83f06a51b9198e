"""Defines the engine's own settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """The engine's own settings, ``[options.numba]`` in a configuration file.

    Parameters
    ----------
    vector_bits : {0, 128, 256, 512}
        The width of vectors to compile for; 0 means the widest that the machine has.
    winograd : {"auto", "always", "never"}
        Whether Winograd's algorithm runs where it is likely the fastest, wherever it can, or nowhere. Even
        with "always" it has only tiles that keep the promised bound. Where ``accuracy = "strict"`` it never
        runs.
    companion : bool
        Whether a process with kernels to compile may start another one, on another core, that compiles what
        later calls will need.
    """

    vector_bits: Literal[0, 128, 256, 512] = 0
    winograd: Literal["auto", "always", "never"] = "auto"
    companion: bool = True
