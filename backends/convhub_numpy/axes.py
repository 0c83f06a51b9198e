"""Computes where the taps of a kernel fall, one spatial axis at a time.

Forward and grad_input are the same work here: each number of the result *gathers* products of a source
and a weight. An `Axis` says which ones along one axis. For grad_input with a stride, neighbouring
pixels gather through different taps; all pixels whose distance is a multiple of the stride gather
through the same taps, so each such *phase* is a convolution of stride 1 by some of the taps.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from convhub.backend import Problem

__all__ = ["Axis", "Clip", "clips", "forward_axis", "phase_axes"]


class Axis(NamedTuple):
    """The way in which results gather from a source along one axis.

    Result ``first + i * step``, for ``0 <= i < results``, gathers through tap ``t``, for
    ``0 <= t < taps``, from place ``i * stride + t * dilation + offset`` of the source. Places outside
    ``0 .. size - 1`` are padding. ``slice(*kernel)`` takes the taps, in order, from the kernel of the weight.
    """

    results: int
    first: int
    step: int
    size: int
    stride: int
    dilation: int
    offset: int
    taps: int
    kernel: tuple[int | None, int | None, int | None]

    @property
    def padded(self) -> bool:
        """Say whether any result gathers from padding."""
        last = (self.results - 1) * self.stride + (self.taps - 1) * self.dilation + self.offset
        return self.offset < 0 or last >= self.size


def forward_axis(problem: Problem, axis: int) -> Axis:
    """Return how ``y`` gathers from ``x`` along `axis` (0: rows, 1: columns)."""
    return Axis(
        results=problem.output_size[axis],
        first=0,
        step=1,
        size=problem.input_size[axis],
        stride=problem.stride[axis],
        dilation=problem.dilation[axis],
        offset=-problem.padding[axis][0],
        taps=problem.kernel_size[axis],
        kernel=(None, None, None),
    )


def phase_axes(problem: Problem, axis: int) -> list[Axis]:
    """Return how ``dx`` gathers from ``dy`` along `axis`, one `Axis` for each phase of the stride.

    Pixel ``h`` met output ``p`` through tap ``r`` where ``h = p * stride + r * dilation - before``. So
    the taps of a pixel are those with ``r * dilation ≡ h + before`` modulo the stride: every
    ``stride / gcd``-th one. They are taken backwards, so that ``p`` rises with the tap. A phase
    without taps is kept, since its pixels are zero.
    """
    stride, dilation = problem.stride[axis], problem.dilation[axis]
    size, kernel_size = problem.input_size[axis], problem.kernel_size[axis]
    before = problem.padding[axis][0]
    common = math.gcd(stride, dilation)
    apart = stride // common
    phases = []
    for first in range(min(stride, size)):
        phase = (first + before) % stride
        lowest = next((r for r in range(apart) if r * dilation % stride == phase), kernel_size)
        used = range(lowest, kernel_size, apart)
        offset = 0
        kernel: tuple[int | None, int | None, int | None] = (0, 0, None)
        if used:
            offset = (first + before - used[-1] * dilation) // stride
            kernel = (used[-1], lowest - apart if lowest >= apart else None, -apart)
        phases.append(
            Axis(
                results=len(range(first, size, stride)),
                first=first,
                step=stride,
                size=problem.output_size[axis],
                stride=1,
                dilation=dilation // common,
                offset=offset,
                taps=len(used),
                kernel=kernel,
            )
        )
    return phases


class Clip(NamedTuple):
    """The results that gather through one tap from within the source, and the places they gather from."""

    results: slice
    source: slice
    whole: bool


def clips(axis: Axis, begin: int, end: int) -> list[Clip]:
    """Return for each tap which of the results ``begin .. end - 1`` gather from within the source.

    Results are counted from `begin`; ``whole`` is set where all of them do.

    Examples
    --------
    >>> three = Axis(4, 0, 1, size=4, stride=1, dilation=1, offset=-1, taps=3, kernel=(None, None, None))
    >>> clips(three, 0, 4)[0]
    Clip(results=slice(1, 4, None), source=slice(0, 3, 1), whole=False)
    """
    found = []
    for tap in range(axis.taps):
        shift = tap * axis.dilation + axis.offset
        low = max(begin, -(shift // axis.stride))
        high = min(end, (axis.size - 1 - shift) // axis.stride + 1)
        if low < high:
            source = slice(low * axis.stride + shift, high * axis.stride + shift, axis.stride)
            found.append(Clip(slice(low - begin, high - begin), source, high - low == end - begin))
        else:
            found.append(Clip(slice(0, 0), slice(0, 0), False))
    return found
