"""Describes forward and grad_input alike, as dense correlations, each with its taps.

``forward`` is one of them. ``grad_input`` with a stride is ``stride_h * stride_w`` of them, one for each
phase of the rows and columns of ``dx``: pixel ``h = first + a * stride`` meets only the kernel rows ``r``
with ``h + top - r * dilation`` divisible by the stride, so that nothing is ever multiplied by an inserted
zero (the sub-pixel view of transposed convolution: Shi et al. 2016, arXiv:1609.07009).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from convhub.backend import Problem

from .tiling import ceil_div

__all__ = [
    "MOST_PHASES",
    "Axis",
    "Correlation",
    "Sizes",
    "clipped",
    "correlations",
    "count_phases",
    "products",
    "regions",
    "suits_regions",
    "too_many_phases",
]

MOST_PHASES = 1024  # each is a stage of `gemm`, which takes a third of a millisecond to plan
LEAST_REGION = 8  # outputs along an axis: smaller ones cost more than the products they save
REGION_SAVING = 1.3  # of multiply-adds
ROW_SAVING = 1.4  # of multiply-adds too; shorter lists of pixels fill fewer tiles


class Axis(NamedTuple):
    """One axis of a dense correlation.

    Output ``first + a * step``, for ``a`` in ``range(count)``, is the sum over the taps of
    ``weight[index] * source[a * source_step + shift]``; the source is zero outside ``range(source_size)``.
    """

    first: int
    step: int
    count: int  # type: ignore[assignment]  # tuples have a method of that name
    source_step: int
    source_size: int
    taps: tuple[tuple[int, int], ...]  # (kernel index, shift)


class Correlation(NamedTuple):
    """``out[n, g*M + m, rows, columns] = Σ weight[g, m, c, tap] · source[n, g*C + c, …]``."""

    rows: Axis
    columns: Axis
    groups: int
    out_channels: int  # M, of one group
    source_channels: int  # C, of one group

    @property
    def taps(self) -> int:
        """How many kernel elements take part."""
        return len(self.rows.taps) * len(self.columns.taps)

    @property
    def terms(self) -> int:
        """How many products are summed for one output."""
        return self.source_channels * self.taps


class Sizes(NamedTuple):
    """The kernel's parameters for a correlation and its blocking; lengths and strides in elements."""

    images: int
    groups: int
    out_channels: int  # of one group
    source_channels: int  # of one group
    rows: int
    columns: int
    step_h: int  # of the source
    step_w: int
    out_first: int
    out_image: int
    out_channel: int
    out_row: int
    out_column: int
    weight_row: int  # from one output channel to the next in a contiguous weight
    shift_h: int  # least row, in its phase plane, that output row 0 reads
    shift_w: int
    span_h: int  # how many rows more the last tap reads than the first
    span_w: int
    tile_images: int
    tile_rows: int
    tile_columns: int
    tile_groups: int
    tile_channels: int
    block_channels: int  # terms are summed in blocks of channels and taps
    block_taps: int
    pad_items: int
    panel_items: int
    packed_items: int
    held_panels: int  # panels of sums kept in scratch memory, since the output cannot hold them
    source_items: int


def correlations(problem: Problem, *, reached: bool = False) -> tuple[Correlation, ...]:
    """Return the dense correlations that make up a ``forward`` or ``grad_input`` problem.

    Parameters
    ----------
    reached : bool
        Whether to leave out the phases that no tap reaches: with a large stride these are nearly all.
    """
    in_channels, out_channels = problem.group_channels
    if problem.primitive == "forward":
        rows, columns = (_forward_axis(problem, axis) for axis in (0, 1))
        return (Correlation(rows, columns, problem.groups, out_channels, in_channels),)
    return tuple(
        Correlation(rows, columns, problem.groups, in_channels, out_channels)
        for rows in _phases(problem, 0, reached)
        for columns in _phases(problem, 1, reached)
    )


def count_phases(problem: Problem) -> int:
    """Return how many correlations make up a problem, including those that no tap reaches."""
    if problem.primitive != "grad_input":
        return 1
    return math.prod(map(min, problem.stride, problem.input_size))


def too_many_phases(problem: Problem) -> bool:
    """Say whether a stride makes more phases than are worth planning one by one."""
    return count_phases(problem) > MOST_PHASES


def regions(part: Correlation) -> tuple[Correlation, ...]:
    """Return the correlation cut where taps begin or cease to meet only padding, if that saves much.

    With a dilation close to the image's size, most taps miss the image for most outputs.
    """
    rows, columns = _intervals(part.rows), _intervals(part.columns)
    pieces = tuple(part._replace(rows=row, columns=column) for row in rows for column in columns)
    products = sum(piece.rows.count * piece.columns.count * piece.taps for piece in pieces)
    whole = part.rows.count * part.columns.count * part.taps
    return pieces if whole >= REGION_SAVING * products else (part,)


def clipped(part: Correlation) -> bool:
    """Say whether to leave out, for each row of outputs, the rows of taps that meet only padding."""
    return reaching_rows(part) * ROW_SAVING <= part.rows.count * len(part.rows.taps)


def reaching_rows(part: Correlation) -> int:
    """Return how many pairs of an output row and a tap row meet within the source."""
    rows = part.rows
    return sum(
        0 <= a * rows.source_step + shift < rows.source_size
        for a in range(rows.count)
        for _, shift in rows.taps
    )


def products(problem: Problem) -> int:
    """Return how many products one image, output and source channel take, less those that are left out."""
    return sum(min(_products(part)) for part in correlations(problem))


def suits_regions(part: Correlation) -> bool:
    """Say whether cutting the outputs into regions saves more than leaving out rows of taps."""
    by_regions, by_rows = _products(part)
    return by_regions < by_rows


def _products(part: Correlation) -> tuple[int, int]:
    """Return how many products are left by `regions`, and by leaving out rows of taps (`clipped`)."""
    by_regions = sum(piece.rows.count * piece.columns.count * piece.taps for piece in regions(part))
    pairs = reaching_rows(part) if clipped(part) else part.rows.count * len(part.rows.taps)
    return by_regions, pairs * part.columns.count * len(part.columns.taps)


def _intervals(axis: Axis) -> list[Axis]:
    """Cut an axis into intervals of `LEAST_REGION` or more, each with the taps that some output needs."""
    reach = {}
    for tap in axis.taps:
        low = -(tap[1] // axis.source_step)
        high = ceil_div(axis.source_size - tap[1], axis.source_step)
        reach[tap] = max(0, low), min(axis.count, high)
    cuts = sorted({0, axis.count, *(at for ends in reach.values() for at in ends if 0 < at < axis.count)})
    kept = [0]
    for cut in cuts[1:-1]:
        if cut - kept[-1] >= LEAST_REGION and axis.count - cut >= LEAST_REGION:
            kept.append(cut)
    made = []
    for start, end in zip(kept, [*kept[1:], axis.count], strict=True):
        taps = tuple(
            (tap[0], tap[1] + start * axis.source_step)
            for tap, (low, high) in reach.items()
            if low < end and high > start
        )
        made.append(axis._replace(first=axis.first + start * axis.step, count=end - start, taps=taps))
    return made


def _forward_axis(problem: Problem, axis: int) -> Axis:
    taps = tuple(
        (index, index * problem.dilation[axis] - problem.padding[axis][0])
        for index in range(problem.kernel_size[axis])
    )
    return Axis(0, 1, problem.output_size[axis], problem.stride[axis], problem.input_size[axis], taps)


def _phases(problem: Problem, axis: int, reached: bool) -> list[Axis]:
    stride, size = problem.stride[axis], problem.input_size[axis]
    phases = []
    for first in range(min(stride, size)):
        reach = first + problem.padding[axis][0]
        taps = tuple(
            (index, (reach - index * problem.dilation[axis]) // stride)
            for index in range(problem.kernel_size[axis])
            if (reach - index * problem.dilation[axis]) % stride == 0
        )
        if taps or not reached:
            phases.append(
                Axis(first, stride, ceil_div(size - first, stride), 1, problem.output_size[axis], taps)
            )
    return phases
