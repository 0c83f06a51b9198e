"""Decides whether transforms pay for a problem, and how much is transformed at once."""

from __future__ import annotations

import math
from typing import NamedTuple

from convhub.backend import Problem, RunOptions

from .grid import Grid, grid_of

__all__ = ["Block", "Plan", "cut", "plan_of"]

#: Spectra are complex128, whatever the problem's dtype.
SPECTRUM_ITEM = 16


class Block(NamedTuple):
    """The number of groups computed at once, and of images, input and output channels of each group."""

    groups: int
    images: int
    inputs: int
    outputs: int

    def slices(self, problem: Problem) -> tuple[list[slice], ...]:
        """Return the slices of groups, images, input and output channels that make up a problem."""
        G = problem.groups
        totals = (G, problem.batch, problem.in_channels // G, problem.out_channels // G)
        return tuple(cut(total, size) for total, size in zip(totals, self, strict=True))


class Plan(NamedTuple):
    """How a problem is computed by transforms."""

    grid: Grid
    block: Block


def plan_of(problem: Problem, options: RunOptions) -> Plan | None:
    """Return how to compute a problem by transforms, or None where it is to be summed tap by tap.

    It is None if one transform takes more operations than the sums for an image and a kernel, if their
    spectra take more memory than allowed, and if accuracy is ``"strict"``.
    """
    if options.accuracy == "strict" or _sums(problem) < _transform(grid_of(problem)):
        return None
    block = largest_block(problem, options.workspace_limit)
    return None if block is None else Plan(grid_of(problem), block)


def _sums(problem: Problem) -> int:
    """Return the number of products of one input channel and one output channel of an image."""
    return math.prod(problem.output_size) * math.prod(problem.kernel_size)


def _transform(grid: Grid) -> float:
    """Return approximately how many operations the transforms of a channel's phases take."""
    points = math.prod(grid.shape)
    return math.prod(grid.phases) * points * math.log2(points)


def largest_block(problem: Problem, limit: int) -> Block | None:
    """Return the largest block whose spectra keep to a limit of bytes, or None if not even the smallest does.

    Groups are divided first, since they share no data; then the largest of the other parts.
    """
    grid, G = grid_of(problem), problem.groups
    block = Block(G, max(1, problem.batch), problem.in_channels // G, problem.out_channels // G)
    while _bytes(block, grid) > limit:
        largest = 0 if block.groups > 1 else block.index(max(block))
        if block[largest] == 1:
            return None
        block = Block(*((n + 1) // 2 if i == largest else n for i, n in enumerate(block)))
    return block


def _bytes(block: Block, grid: Grid) -> int:
    """Return the bytes of the three spectra of a block, and of their transforms."""
    height, width = grid.shape
    inputs = block.inputs * math.prod(grid.phases)
    spectra = block.images * inputs + block.outputs * inputs + block.images * block.outputs
    # An inverse transform holds the spectrum, a copy of it, and its result.
    return 3 * block.groups * spectra * height * (width // 2 + 1) * SPECTRUM_ITEM


def cut(total: int, size: int) -> list[slice]:
    """Return slices of at most `size` that make up `total`."""
    return [slice(first, min(first + size, total)) for first in range(0, total, size)]
