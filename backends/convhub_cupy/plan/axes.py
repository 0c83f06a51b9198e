"""Describes forward, and the phases of grad_input, as correlations whose taps are evenly spaced."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from convhub.backend import Problem

from .tiling import ceil_div

__all__ = ["Axis", "nonempty_phases", "phases", "reach", "result_and_source_channels"]


class Axis(NamedTuple):
    """One axis of a correlation, in the order of the kernels' arguments. See `correlation.cuh`."""

    outputs: int
    first: int
    step: int
    source_step: int
    shift: int
    taps: int
    tap_first: int
    tap_step: int
    tap_shift: int

    @property
    def reversed(self) -> Axis:
        """The same correlation with its taps in the opposite order."""
        last = self.taps - 1
        return self._replace(
            shift=self.shift + last * self.tap_shift,
            tap_first=self.tap_first + last * self.tap_step,
            tap_step=-self.tap_step,
            tap_shift=-self.tap_shift,
        )


def phases(problem: Problem) -> list[tuple[Axis, Axis]]:
    """Return rows and columns of each correlation that makes a part of the result.

    Examples
    --------
    >>> from convhub.backend import Problem
    >>> [(rows.first, rows.taps) for rows, _ in phases(Problem.parse("grad_input_n1c1h6w1_k1r3s1_stride2x1"))]
    [(0, 2), (1, 1)]
    """
    axes = [(_forward if problem.primitive == "forward" else _backward)(problem, axis) for axis in (0, 1)]
    return [(rows, columns) for rows in axes[0] for columns in axes[1]]


def nonempty_phases(problem: Problem) -> list[tuple[Axis, Axis]]:
    """Return the phases that make at least one element of the result."""
    if not math.prod(problem.result_shape):
        return []
    return [(rows, columns) for rows, columns in phases(problem) if rows.outputs and columns.outputs]


def result_and_source_channels(problem: Problem) -> tuple[int, int]:
    """Return how many channels one group of the result has, and of the source: the kernels' M and C.

    For grad_weight, these are the channels of the gradient and of the input.
    """
    inward, outward = problem.group_channels
    return (inward, outward) if problem.primitive == "grad_input" else (outward, inward)


def _forward(problem: Problem, axis: int) -> list[Axis]:
    taps, dilation = problem.kernel_size[axis], problem.dilation[axis]
    shift = -problem.padding[axis][0]
    return [Axis(problem.output_size[axis], 0, 1, problem.stride[axis], shift, taps, 0, 1, dilation)]


def _backward(problem: Problem, axis: int) -> list[Axis]:
    """Return a phase for each residue of the result's index by the stride; some have no taps."""
    stride, dilation, size = problem.stride[axis], problem.dilation[axis], problem.input_size[axis]
    kernel = problem.kernel_size[axis]
    step = stride // math.gcd(stride, dilation)
    axes = []
    for first in range(min(stride, size)):
        reach = first + problem.padding[axis][0]
        tap = next(
            (t for t in range(step) if (reach - t * dilation) % stride == 0), problem.kernel_size[axis]
        )
        taps = len(range(tap, kernel, step))
        shift = (reach - tap * dilation) // stride if taps else 0
        count = ceil_div(size - first, stride)
        axes.append(Axis(count, first, stride, 1, shift, taps, tap, step, -(step * dilation // stride)))
    return axes


def reach(problem: Problem, strides: Sequence[int] = (1, 1)) -> int:
    """Return how far from an image's first pixel a tap may look, rows and columns being `strides` apart."""
    total = 0
    for axis, stride in enumerate(strides):
        pixels = problem.input_size[axis] + problem.output_size[axis] * problem.stride[axis]
        pixels += problem.kernel_size[axis] * problem.dilation[axis] + sum(problem.padding[axis])
        total += pixels * max(1, abs(stride))
    return total
