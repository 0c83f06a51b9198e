"""Computes depthwise convolution tap by tap, over long lines instead of the rows of images.

The rows of a padded image are laid one after the other into one line for each channel and each phase of
the stride. Through one tap, all results of the image then gather from one stretch of such a line, so that
NumPy multiplies and adds thousands of neighbours in one call. The numbers computed between the end of one
row and the beginning of the next are left out when the results are stored.

The sums are those of `convhub_numpy.taps`, except that the zeros of padding take part here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import NamedTuple

import numpy as np

from convhub.backend import Array, Problem

from .axes import Axis
from .dtypes import sum_dtype
from .sharing import run
from .sums import block, sums_of_products
from .tiles import parts

__all__ = ["BandPlan", "band_plan", "gather_by_bands", "weight_by_bands"]

#: Bytes of lines, sums and products together that are worked on at once: a part of a second-level cache.
BAND_BYTES = 2**19


#: NumPy's buffers for one operation, in this thread, while it works on bands; usually 8192.
BUFFER_ITEMS = 256


class Reach(NamedTuple):
    """The places that taps reach along one axis: ``position * stride + phase`` of the source.

    Result ``i`` meets tap ``t`` in the phase number ``taps[t][0]`` at position ``least + i + taps[t][1]``.
    """

    least: int
    span: int
    phases: tuple[int, ...]
    taps: tuple[tuple[int, int], ...]


class BandPlan(NamedTuple):
    """The most images, groups and rows of results that are worked on at once, by `workers` threads."""

    rows: Axis
    cols: Axis
    down: Reach
    across: Reach
    images: int
    groups: int
    height: int
    workers: int

    @property
    def pitch(self) -> int:
        """The distance between rows in a line."""
        return self.cols.results + self.across.span

    def lines(self, height: int) -> tuple[int, int, int, int]:
        """Return (phases down, phases across, rows, columns) of the lines for `height` rows of results."""
        return len(self.down.phases), len(self.across.phases), height + self.down.span, self.pitch


def band_plan(
    problem: Problem, terms: int, channels: int, rows: Axis, cols: Axis, room: int
) -> BandPlan | None:
    """Return how to work in `room` bytes; None if that is too little, or there are no taps."""
    if not (rows.taps and cols.taps):
        return None
    one = BandPlan(rows, cols, _reach(rows), _reach(cols), 1, 1, rows.results, 1)
    length = terms * rows.taps * cols.taps
    arrays = 2 if block(length) == length else 3  # sums, products and sums of blocks
    most = min(BAND_BYTES, room) // sum_dtype(problem.dtype).itemsize

    def items(height: int) -> int:
        return terms * prod(one.lines(height)) + arrays * channels * height * one.pitch

    if items(rows.results) > most:
        height = (most - items(0)) // (items(1) - items(0))
        # Rows that two bands share are laid out twice.
        return (
            one._replace(height=height, workers=room // BAND_BYTES or 1) if height > one.down.span else None
        )
    groups = min(problem.groups, most // items(rows.results))
    images = most // (groups * items(rows.results)) if groups == problem.groups else 1
    return one._replace(
        images=max(1, min(images, problem.batch)), groups=groups, workers=room // BAND_BYTES or 1
    )


def _reach(axis: Axis) -> Reach:
    found = [divmod(tap * axis.dilation + axis.offset, axis.stride) for tap in range(axis.taps)]
    least = min(position for position, _ in found)
    phases = sorted({phase for _, phase in found})
    return Reach(
        least,
        max(position for position, _ in found) - least,
        tuple(phases),
        tuple((phases.index(phase), position - least) for position, phase in found),
    )


def gather_by_bands(
    source: Array,
    weight: Array,
    bias: Array | None,
    result: Array,
    plan: BandPlan,
    dtype: np.dtype,
    threads: int,
) -> None:
    """Gather products as `convhub_numpy.gather` does; the source is (N, G, C, H, W)."""
    batch, groups, terms = source.shape[:3]
    channels, results = result.shape[2], plan.cols.results
    weight = weight.astype(dtype)[..., np.newaxis]
    length = terms * plan.rows.taps * plan.cols.taps
    at_once = block(length)
    tasks = [
        (slice(*images), slice(*some), *height)
        for images in parts(batch, plan.images)
        for some in parts(groups, plan.groups)
        for height in parts(plan.rows.results, plan.height)
    ]

    @_with_small_buffers
    def work(share: Iterable[int]) -> None:
        most = plan.images * plan.groups
        memory = np.empty(most * terms * prod(plan.lines(plan.height)), dtype)
        several = at_once < length
        all_sums, products, *totals = np.empty(
            (3 if several else 2, most * channels * plan.height * plan.pitch), dtype
        )
        for images, some, row, row_end in (tasks[index] for index in share):
            height = row_end - row
            lines = _fill(memory, source[images, some], plan, row, height)
            shape = (*lines.shape[:2], channels, (height - 1) * plan.pitch + results)
            sums, product = (array[: prod(shape)].reshape(shape) for array in (all_sums, products))
            if several:
                total = totals[0][: prod(shape)].reshape(shape)
                total[...] = 0
            into, added = sums, 0
            for r, s, stretch in _stretches(plan, lines, shape[3]):
                for c in range(terms):
                    np.multiply(stretch[:, :, c, np.newaxis], weight[some, :, c, r, s], out=into)
                    if into is product:
                        sums += product
                    into, added = product, added + 1
                    if several and added == at_once:
                        total += sums
                        into, added = sums, 0
            if several and added:
                sums += total
            elif several:
                sums[...] = total
            if bias is not None:
                sums += bias[some].astype(dtype)[..., np.newaxis]
            item = dtype.itemsize
            rows = (*sums.strides[:3], plan.pitch * item, item)
            result[images, some, :, row:row_end] = np.ndarray(
                (*shape[:3], height, results), dtype, all_sums, 0, rows
            )

    run(work, len(tasks), threads)


def _with_small_buffers(work: Callable[[Iterable[int]], None]) -> Callable[[Iterable[int]], None]:
    """Let NumPy work on lines in place: it would copy lines below a quarter of a buffer there."""

    def with_small_buffers(share: Iterable[int]) -> None:
        before = np.getbufsize()
        try:  # entered before anything is changed, since a signal handler may raise between two lines
            np.setbufsize(BUFFER_ITEMS)
            work(share)
        finally:
            np.setbufsize(before)

    return with_small_buffers


def weight_by_bands(dy: Array, x: Array, dw: Array, plan: BandPlan, dtype: np.dtype, threads: int) -> None:
    """Fill `dw`, (G, K/G, C/G, R, S), from `dy`, (N, G, K/G, P, Q), and `x`, (N, G, C/G, H, W).

    A number of `x` that is not finite also spoils results that it is not part of.
    """
    batch, groups, heads, height_of_all, results = dy.shape
    blocks = list(parts(groups, plan.groups))
    bands = [
        (slice(*images), *height)
        for images in parts(batch, plan.images)
        for height in parts(height_of_all, plan.height)
    ]

    def work(share: Iterable[int]) -> None:
        most = plan.images * plan.groups
        memory = np.empty(most * x.shape[2] * prod(plan.lines(plan.height)), dtype)
        gradients = np.empty(most * heads * plan.height * plan.pitch, dtype)
        for some in (slice(*blocks[index]) for index in share):
            sums = np.zeros(dw[some].shape, dtype)
            for images, row, row_end in bands:
                height = row_end - row
                lines = _fill(memory, x[images, some], plan, row, height)
                shape = (*lines.shape[:2], heads, height, plan.pitch)
                spread = gradients[: prod(shape)].reshape(shape)
                spread[..., :results] = dy[images, some, :, row:row_end]
                spread[..., results:] = 0
                length = (height - 1) * plan.pitch + results
                line = spread.reshape(*shape[:3], -1)[..., :length]
                for r, s, stretch in _stretches(plan, lines, length):
                    sums[..., r, s] += sums_of_products(
                        line[..., np.newaxis, :], stretch[..., np.newaxis, :], dtype
                    )
            dw[some] = sums

    run(work, len(blocks), threads)


def _fill(memory: Array, source: Array, plan: BandPlan, row: int, height: int) -> Array:
    """Lay out the source of `height` rows of results from `row` on: (N, G, C, *`plan.lines(height)`)."""
    shape = (*source.shape[:3], *plan.lines(height))
    lines: Array = memory[: prod(shape)].reshape(shape)
    for a, down in enumerate(plan.down.phases):
        into_rows, from_rows = _overlap(plan.rows, row + plan.down.least, shape[5], down)
        for b, across in enumerate(plan.across.phases):
            into_cols, from_cols = _overlap(plan.cols, plan.across.least, shape[6], across)
            target = lines[:, :, :, a, b]
            some = target[..., into_rows, into_cols]
            if some.size < target.size:
                target[...] = 0
            some[...] = source[..., from_rows, from_cols]
    return lines


def _overlap(axis: Axis, first: int, count: int, phase: int) -> tuple[slice, slice]:
    """Return which of `count` positions from `first` on lie in the source, and where."""
    low = max(first, 0)
    high = max(low, min(first + count, -((phase - axis.size) // axis.stride)))
    begin = low * axis.stride + phase
    return slice(low - first, high - first), slice(begin, begin + (high - low) * axis.stride, axis.stride)


def _stretches(plan: BandPlan, lines: Array, length: int) -> list[tuple[int, int, Array]]:
    """Return each tap, and the `length` places of its line from which the results gather through it."""
    flat = lines.reshape(*lines.shape[:5], -1)
    found = []
    for r, (a, down) in enumerate(plan.down.taps):
        for s, (b, across) in enumerate(plan.across.taps):
            begin = down * plan.pitch + across
            found.append((r, s, flat[:, :, :, a, b, begin : begin + length]))
    return found
