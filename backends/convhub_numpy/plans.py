"""Divides each problem to fit the allowed memory; plans are made once for each problem."""

from __future__ import annotations

from typing import NamedTuple

from convhub.backend import Problem, RunOptions, bounded_cache

from .axes import Axis, forward_axis, phase_axes
from .bands import BandPlan, band_plan
from .columns import is_identity
from .dtypes import sum_dtype, work_dtype
from .small import SmallPlan, small_plan
from .tiles import Tiling, parts, tiling

__all__ = ["GatherPlan", "Phase", "WeightPlan", "gather_plan", "threads_for", "uses_taps", "weight_plan"]

#: Bytes of one tile of columns: with less, Python's overhead shows; more does not fit the cache.
TILE_BYTES = 2**21
#: Bytes of one tile where products are added one tap at a time, each over the whole tile.
TAP_TILE_BYTES = 2**18
#: Rows of columns (channels times taps) for which one tile of grad_weight sums.
WEIGHT_COLUMNS = 576

#: The part of the limit that is left for this plan, views and NumPy's temporary memory.
SPARE = 16

#: Lower limits count as this one: tiles of a few numbers would take forever.
LEAST_LIMIT = 2**16
#: Fewer multiply-accumulates than this are done before other threads can begin.
WORTH_THREADS = 2**22

Chunk = tuple[int, int, int, int]
"""Groups (begin, end) and, in each, channels (begin, end)."""


class Phase(NamedTuple):
    """One convolution of stride 1, or the forward one; see `convhub_numpy.axes`."""

    rows: Axis
    cols: Axis
    tiles: Tiling
    padded: bool
    identity: bool
    bands: BandPlan | None


class GatherPlan(NamedTuple):
    """The division of forward or grad_input.

    ``terms`` are the source's channels in a group, ``channels`` the result's. ``chunks`` of the
    result's channels are computed one after the other, so that a copy of their weights fits.
    """

    groups: int
    channels: int
    terms: int
    by_taps: bool
    chunks: tuple[Chunk, ...]
    phases: tuple[Phase, ...]
    workers: int
    small: SmallPlan | None


class WeightPlan(NamedTuple):
    """The division of grad_weight.

    ``blocks`` of the result (groups, output channels, input channels; begin and end of each) are
    summed over all ``tiles`` of the output, one tile after the other.
    """

    groups: int
    rows: Axis
    cols: Axis
    padded: bool
    pointwise: bool
    by_taps: bool
    blocks: tuple[tuple[int, ...], ...]
    tiles: Tiling
    workers: int
    small: SmallPlan | None
    bands: BandPlan | None


def threads_for(problem: Problem, options: RunOptions, workers: int) -> int:
    """Return how many threads share the work: at most `workers`, for whose tiles there is room."""
    return min(options.threads, workers) if problem.macs >= WORTH_THREADS else 1


def uses_taps(problem: Problem) -> bool:
    """Say whether to multiply and add tap by tap rather than multiply matrices: if these are very narrow."""
    inputs, outputs = problem.group_channels
    pixels = problem.batch * problem.output_size[0] * problem.output_size[1]
    return inputs * outputs <= 2 and pixels * problem.groups >= 2048


@bounded_cache()
def gather_plan(problem: Problem, limit: int) -> GatherPlan:
    """Plan forward or grad_input with `limit` bytes of workspace."""
    limit = max(limit, LEAST_LIMIT)
    limit -= limit // SPARE
    inputs, outputs = problem.group_channels
    if problem.primitive == "forward":
        terms, channels = inputs, outputs
        pairs = [(forward_axis(problem, 0), forward_axis(problem, 1))]
    else:
        terms, channels = outputs, inputs
        pairs = [(rows, cols) for rows in phase_axes(problem, 0) for cols in phase_axes(problem, 1)]

    by_taps = uses_taps(problem)
    item = (sum_dtype(problem.dtype) if by_taps else work_dtype(problem)).itemsize
    # A pixel that the strides skip has no taps; if all pixels are skipped, nothing is multiplied.
    length = terms * max(1, *(rows.taps * cols.taps for rows, cols in pairs))
    chunks = _chunks(problem.groups, channels, length * item, limit // 2)
    groups, wide = chunks[0][1], chunks[0][3]
    for chunk in chunks:
        groups, wide = max(groups, chunk[1] - chunk[0]), max(wide, chunk[3] - chunk[2])
    # One column of each matrix, its sums, the numbers added to them, and the sums as integers.
    pixel = groups * (3 * wide if by_taps else length + 3 * wide) * item
    room = limit - groups * wide * length * item
    tile = max(pixel * (1 if by_taps else 4), min(TAP_TILE_BYTES if by_taps else TILE_BYTES, room))
    # Matrices are padded to a multiple of 4 columns.
    most = max(1, tile // pixel - (0 if by_taps else 3))
    phases = tuple(
        Phase(
            rows,
            cols,
            tiling(problem.batch, rows.results, cols.results, most),
            rows.padded or cols.padded,
            is_identity(rows) and is_identity(cols),
            band_plan(problem, terms, channels, rows, cols, room) if by_taps else None,
        )
        for rows, cols in pairs
    )
    small = small_plan(problem, limit, *pairs[0]) if len(pairs) == 1 and not by_taps else None
    workers = min([room // tile, *(phase.bands.workers for phase in phases if phase.bands)])
    return GatherPlan(problem.groups, channels, terms, by_taps, chunks, phases, max(1, workers), small)


def _chunks(groups: int, channels: int, row_bytes: int, room: int) -> tuple[Chunk, ...]:
    """Divide groups and their channels so that the weights of a chunk, copied, take at most `room`."""
    rows = max(1, room // row_bytes)
    if rows >= channels:
        return tuple((*group, 0, channels) for group in parts(groups, rows // channels))
    return tuple((g, g + 1, *some) for g in range(groups) for some in parts(channels, rows))


@bounded_cache()
def weight_plan(problem: Problem, limit: int) -> WeightPlan:
    """Plan grad_weight with `limit` bytes of workspace."""
    limit = max(limit, LEAST_LIMIT)
    limit -= limit // SPARE
    inputs, outputs = problem.group_channels
    rows, cols = forward_axis(problem, 0), forward_axis(problem, 1)
    taps = rows.taps * cols.taps
    by_taps = uses_taps(problem)
    item = work_dtype(problem).itemsize
    # Half of the room for a block: sums of tiles, of blocks, the numbers added, and the sums as integers.
    room = limit // 8 // item
    channels = max(1, min(inputs, WEIGHT_COLUMNS // taps, room // taps))
    heads = max(1, min(outputs, room // (channels * taps)))
    some_groups = 1
    if channels == inputs and heads == outputs:
        fit = room // (outputs * inputs * taps)
        some_groups = max(1, min(problem.groups, fit, WEIGHT_COLUMNS // (inputs * taps)))
    blocks = tuple(
        (*group, *head, *channel)
        for group in parts(problem.groups, some_groups)
        for head in parts(outputs, heads)
        for channel in parts(inputs, channels)
    )
    sums = 4 * some_groups * heads * channels * taps * item
    pixel = some_groups * (channels * taps + heads) * item
    tile = max(pixel, min(TILE_BYTES, limit - sums))
    bands = None
    if (
        by_taps and sum_dtype(problem.dtype).name != problem.dtype
    ):  # widening each number only once pays for a copy
        bands = band_plan(problem, inputs, outputs, rows, cols, limit - sums)
    workers = max(1, limit // (sums + tile))
    return WeightPlan(
        groups=problem.groups,
        rows=rows,
        cols=cols,
        padded=rows.padded or cols.padded,
        pointwise=is_identity(rows) and is_identity(cols),
        by_taps=by_taps,
        blocks=blocks,
        tiles=tiling(problem.batch, *problem.output_size, tile // pixel),
        workers=min(workers, bands.workers) if bands else workers,
        small=None if by_taps else small_plan(problem, limit, rows, cols),
        bands=bands,
    )
