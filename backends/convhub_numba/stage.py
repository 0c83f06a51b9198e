"""Defines a plan and its parts: the register tile and the stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["NO_TABLE", "Plan", "Stage", "Tile"]


@dataclass(frozen=True)
class Tile:
    """The register tile: `height` channels by `vectors` vectors of `lanes` elements of `item` bytes."""

    height: int
    vectors: int
    lanes: int
    item: int
    pattern: tuple[int, ...] = ()  # further literals that shape the code of some kernels

    @property
    def literals(self) -> tuple[int, ...]:
        """The numbers for which a kernel is compiled."""
        return self.height, self.vectors, self.lanes, *self.pattern

    @property
    def wide(self) -> bool:
        """Whether vectors have 512 bits, and there are 32 registers of them."""
        return self.lanes * self.item == 64

    @property
    def width(self) -> int:
        """The number of elements across."""
        return self.vectors * self.lanes


#: The table of taps or phases of a kernel that has none.
NO_TABLE = np.empty((0, 2), np.int64)


@dataclass(frozen=True)
class Stage:
    """One kernel over one grid of tasks."""

    sizes: Any  # the kernel's NamedTuple of sizes
    taps: np.ndarray
    phases: np.ndarray
    tasks: int
    items: int  # scratch elements of each thread
    integers: int
    source_in_place: bool  # if contiguous
    weight_in_place: bool = False
    shared_items: int = 0  # scratch elements that all threads share

    @property
    def table_bytes(self) -> int:
        """Memory of the tables that all threads share."""
        return int(self.taps.nbytes + self.phases.nbytes)


@dataclass(frozen=True)
class Plan:
    """The way in which the engine runs a problem."""

    algorithm: str
    tile: Tile
    threads: int
    stages: tuple[Stage, ...] = ()
    leaves_pixels: bool = False  # that no stage computes, since no tap reaches them: they are only bias
    details: Any = None  # data that this algorithm's launch needs besides the stages
    note: str = ""  # a description of `details`, for people

    @property
    def described(self) -> str:
        """The algorithm, and after a comma its tiles and how its work is shared out."""
        if not self.stages:
            return self.algorithm
        note = f"{self.note}, " if self.note else ""
        tile, tasks = self.tile, sum(stage.tasks for stage in self.stages)
        return (
            f"{self.algorithm}, {note}{tile.height} by {tile.vectors} registers of "
            f"{8 * tile.item * tile.lanes} bits, {tasks} task{'s' * (tasks != 1)} on {self.threads} "
            f"thread{'s' * (self.threads != 1)}, {self.scratch_bytes / 2**20:.1f} MiB of scratch"
        )

    @property
    def scratch_bytes(self) -> int:
        """Scratch memory of all threads together, and the tables."""
        each = (stage.items * self.tile.item + stage.integers * 8 for stage in self.stages)
        shared = sum(stage.table_bytes + stage.shared_items * self.tile.item for stage in self.stages)
        return self.threads * max(each, default=0) + shared
