"""Defines a plan: which kernels run a problem, as how many blocks; and the settings that decide about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from convhub.backend import RunOptions

from ..options import Options
from .axes import Axis
from .variants import Source, TensorTile, Tile, source

__all__ = [
    "BLOCKS_WANTED",
    "LEAST_PART",
    "MOST_BLOCKS",
    "TENSOR_CORES",
    "THREADS",
    "Launch",
    "Plan",
    "Settings",
    "launches_of_phases",
]

THREADS = 256
MOST_BLOCKS = 2**31 - 1
BLOCKS_WANTED = 512  # enough for the largest device, twice
LEAST_PART = 1024  # pixels of a part of grad_weight
TENSOR_CORES = (8, 0)  # the least compute capability whose tensor cores have all that the kernels use


class Settings(NamedTuple):
    """The inputs of a plan besides the problem.

    `workspace_limit` is in bytes; `strict` keeps to algorithms of the componentwise class; `allow_tf32` lets
    products of float32 be rounded to TF32; `winograd` is the backend's own option of that name; `capability`
    is the device's compute capability.
    """

    workspace_limit: int
    strict: bool
    allow_tf32: bool
    winograd: str
    capability: tuple[int, int]

    @classmethod
    def of(cls, options: RunOptions, capability: tuple[int, int]) -> Settings:
        """Return the settings for a call's options on a device of some capability."""
        own = options.backend or Options()
        strict = options.accuracy == "strict"
        return cls(options.workspace_limit, strict, options.allow_tf32, own.winograd, capability)


@dataclass(frozen=True)
class Launch:
    """One kernel, without its index type, which depends on the arrays it gets."""

    file: str
    name: str
    options: tuple[str, ...]
    blocks: int
    threads: int
    axes: tuple[Axis, Axis] | None = None

    def source(self, dtype: str, index: str) -> Source:
        """Return the kernel for a type of elements and of indices."""
        return source(self.file, self.name, dtype, index, *self.options)


@dataclass(frozen=True)
class Plan:
    """The way in which an algorithm runs a problem.

    `parts` divide the pixels; their sums are added up afterwards. `images` is how many are packed at a time.
    """

    launches: tuple[Launch, ...]
    tile: Tile | TensorTile | None = None
    parts: int = 1
    part_pixels: int = 0
    workspace_bytes: int = 0
    images: int = 0

    @property
    def described(self) -> str:
        """A description of how the work is divided."""
        blocks = sum(launch.blocks for launch in self.launches)
        tile = f"tiles of {self.tile.m} by {self.tile.n}, " if self.tile else ""
        parts = f"{self.parts} parts, " if self.parts > 1 else ""
        kernels = f"{len(self.launches)} launch{'es' * (len(self.launches) != 1)}"
        return f"{tile}{parts}{blocks} blocks in {kernels}"


def launches_of_phases(
    file: str,
    name: str,
    options: tuple[str, ...],
    blocks: Sequence[int],
    threads: int,
    phases: Sequence[tuple[Axis, Axis]],
) -> tuple[Launch, ...]:
    """Return a launch of one kernel for each phase of a correlation, with its number of blocks."""
    return tuple(
        Launch(file, name, options, count, threads, axes) for count, axes in zip(blocks, phases, strict=True)
    )
