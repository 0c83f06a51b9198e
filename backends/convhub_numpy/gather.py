"""Computes forward and grad_input: each number gathers products of a source and a weight."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from convhub.backend import Array, Problem, RunOptions

from .bands import gather_by_bands
from .columns import fill_columns
from .dtypes import all_finite, store, sum_dtype, work_dtype
from .plans import GatherPlan, Phase, gather_plan, threads_for
from .products import multiply
from .sharing import run
from .small import gather_small
from .taps import gather_by_taps
from .tiles import Tile

__all__ = ["forward", "grad_input"]


def forward(x: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``y``, (N, K, P, Q), as the contract in `convhub.backend` says."""
    plan = gather_plan(problem, options.workspace_limit)
    weight = w.reshape(plan.groups, plan.channels, plan.terms, *problem.kernel_size)
    if plan.small and _fit_for_matrices(x, w, plan.small.padded):
        small = gather_small(x, weight, bias, plan.small)
        if not (plan.small.is_complex and _spoiled(small)):
            return small
    result = np.empty((problem.batch, problem.out_channels, *problem.output_size), x.dtype)
    return _gather(x, weight, bias, result, plan, problem, options)


def grad_input(dy: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``dx``, (N, C, H, W), as the contract in `convhub.backend` says."""
    plan = gather_plan(problem, options.workspace_limit)
    weight = w.reshape(plan.groups, plan.terms, plan.channels, *problem.kernel_size).swapaxes(1, 2)
    if plan.small and _fit_for_matrices(dy, w, plan.small.padded):
        small = gather_small(dy, weight[..., ::-1, ::-1], bias, plan.small)
        if not (plan.small.is_complex and _spoiled(small)):
            return small
    result = np.empty((problem.batch, problem.in_channels, *problem.input_size), dy.dtype)
    return _gather(dy, weight, bias, result, plan, problem, options)


def _gather(
    source: Array,
    weight: Array,
    bias: Array | None,
    result: Array,
    plan: GatherPlan,
    problem: Problem,
    options: RunOptions,
) -> Array:
    """Fill `result` from `source` by `weight`, (G, channels, terms, R, S)."""
    source = source.reshape(source.shape[0], plan.groups, plan.terms, *source.shape[2:])
    grouped = result.reshape(result.shape[0], plan.groups, plan.channels, *result.shape[2:])
    if bias is not None:
        bias = bias.reshape(plan.groups, plan.channels)
    threads = threads_for(problem, options, plan.workers)

    for phase in plan.phases:
        rows, cols = phase.rows, phase.cols
        places = grouped
        taps = weight
        if rows.step > 1 or cols.step > 1:
            places = grouped[..., rows.first :: rows.step, cols.first :: cols.step]
            taps = weight[..., slice(*rows.kernel), slice(*cols.kernel)]
        elif problem.primitive == "grad_input":
            taps = weight[..., ::-1, ::-1]
        if taps.size == 0:
            places[...] = 0 if bias is None else bias[:, :, np.newaxis, np.newaxis]
            continue
        by_taps = plan.by_taps or not _fit_for_matrices(source, taps, phase.padded)
        bands = phase.bands if phase.bands and (not phase.padded or all_finite(taps)) else None
        for g, g_end, k, k_end in plan.chunks:
            operands = (
                source[:, g:g_end],
                taps[g:g_end, k:k_end],
                None if bias is None else bias[g:g_end, k:k_end],
                places[:, g:g_end, k:k_end],
            )
            if bands:
                gather_by_bands(*operands, bands, sum_dtype(problem.dtype), threads)
            elif by_taps:
                gather_by_taps(*operands, phase, problem, threads)
            else:
                _gather_by_matrices(*operands, phase, problem, threads)
                if _spoiled(operands[3]):
                    gather_by_taps(*operands, phase, problem, threads)
    return result


def _fit_for_matrices(source: Array, weight: Array, padded: bool) -> bool:
    """Say whether matrices give NaN and infinities only to results whose window holds them.

    The zeros of padding must not meet them in the weights. And the BLAS multiplies complex sums by
    1 + 0i in the end, which turns every infinity into NaN.
    """
    if weight.dtype.kind == "c":
        return all_finite(weight) and all_finite(source)
    return not padded or all_finite(weight)


def _spoiled(result: Array) -> bool:
    """Say whether sums of complex products have overflowed.

    The BLAS multiplies them by 1 + 0i in the end: where one part is infinite, the other becomes NaN.
    """
    return result.dtype.kind == "c" and not all_finite(result)


def _gather_by_matrices(
    source: Array,
    weight: Array,
    bias: Array | None,
    result: Array,
    phase: Phase,
    problem: Problem,
    threads: int,
) -> None:
    """Multiply the weights, a row a channel, and the columns of each tile."""
    groups, channels, terms, height, width = weight.shape
    length = terms * height * width
    dtype = work_dtype(problem)
    matrix = np.ascontiguousarray(weight, dtype).reshape(groups, channels, length)
    if not matrix.flags.aligned:
        matrix = matrix.copy()
    if bias is not None:
        bias = bias.astype(dtype)[:, :, np.newaxis]
    images, rows, cols = phase.tiles.largest
    most = _rounded_up(images * rows * cols)
    whole_rows = images == 1 and cols == phase.cols.results
    as_it_lies = (
        phase.identity
        and whole_rows
        and source.dtype == dtype
        and source.flags.c_contiguous
        and source.flags.aligned
    )
    in_place = whole_rows and result.dtype == dtype and phase.rows.step == 1 and phase.cols.step == 1

    def work(share: Iterable[int]) -> None:
        columns = np.empty(0 if as_it_lies else groups * length * most, dtype)
        sums = np.empty(groups * channels * most, dtype)
        scratch = np.empty(groups * channels * most, dtype)
        for tile in map(phase.tiles.tile, share):
            if as_it_lies:
                matrix_of_pixels = _run_of_pixels(source, tile)
            else:
                wide = _rounded_up(tile.pixels)
                matrix_of_pixels = columns[: groups * length * wide].reshape(groups, length, wide)
                matrix_of_pixels[:, :, tile.pixels :] = 0
                spread = matrix_of_pixels[:, :, : tile.pixels].reshape(
                    groups, terms, height, width, *tile.shape
                )
                fill_columns(spread, source, phase.rows, phase.cols, tile)
            wide = matrix_of_pixels.shape[2]
            direct = in_place and wide == tile.pixels
            if direct:
                total = _run_of_pixels(result, tile)
            else:
                total = sums[: groups * channels * wide].reshape(groups, channels, wide)
            multiply(matrix, matrix_of_pixels, total, scratch)
            if bias is not None:
                total += bias
            if not direct:
                spread = total[:, :, : tile.pixels].reshape(groups, channels, *tile.shape)
                store(result[tile.places], spread.transpose(2, 0, 1, 3, 4))

    run(work, len(phase.tiles), threads)


def _run_of_pixels(images: Array, tile: Tile) -> Array:
    """Return the pixels of a tile of whole rows as one axis, a view of (N, G, C, H, W)."""
    first = tile.row * images.shape[4]
    image = images[tile.image]
    return image.reshape(*image.shape[:2], -1)[:, :, first : first + tile.pixels]


def _rounded_up(pixels: int) -> int:
    # A product with a single column is a matrix times a vector, many times slower in small pieces.
    return -(-pixels // 4) * 4
