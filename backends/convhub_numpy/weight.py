"""Computes grad_weight: each weight sums the products of the outputs and the pixels that it joins."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import numpy as np

from convhub.backend import Array, Problem, RunOptions

from .bands import weight_by_bands
from .columns import fill_columns
from .dtypes import all_finite, store, sum_dtype, work_dtype
from .plans import WeightPlan, threads_for, weight_plan
from .products import multiply
from .sharing import run
from .small import weight_small
from .sums import group
from .taps import weight_by_taps

__all__ = ["grad_weight"]


def grad_weight(dy: Array, x: Array, problem: Problem, options: RunOptions) -> Array:
    """Return ``dw``, (K, C / groups, R, S), as the contract in `convhub.backend` says."""
    plan = weight_plan(problem, options.workspace_limit)
    if plan.small:
        small = weight_small(dy, x, plan.small)
        if not (plan.small.padded or plan.small.is_complex) or all_finite(small):
            return small
    groups = plan.groups
    inputs, outputs = problem.group_channels
    result = np.empty((problem.out_channels, inputs, *problem.kernel_size), x.dtype)
    if problem.batch == 0:
        result[...] = 0
        return result
    dw = result.reshape(groups, outputs, *result.shape[1:])
    dy = dy.reshape(dy.shape[0], groups, outputs, *dy.shape[2:])
    x = x.reshape(x.shape[0], groups, inputs, *x.shape[2:])
    threads = threads_for(problem, options, plan.workers)
    if plan.by_taps and not plan.bands:
        weight_by_taps(dy, x, dw, plan, problem, threads)
        return result
    if plan.bands:
        weight_by_bands(dy, x, dw, plan.bands, sum_dtype(problem.dtype), threads)
    else:
        _by_matrices(dy, x, dw, plan, problem, threads)
    # A zero of the padding times an infinity or a NaN of dy leaves a NaN where none may belong; so do
    # the BLAS with complex infinities, and the zeros between the lines of bands.
    if (plan.padded or plan.bands or result.dtype.kind == "c") and not all_finite(result):
        weight_by_taps(dy, x, dw, plan, problem, threads)
    return result


def _by_matrices(dy: Array, x: Array, dw: Array, plan: WeightPlan, problem: Problem, threads: int) -> None:
    """Multiply dy by the transposed columns of x, tile after tile, for each block of the weights."""
    height, width = problem.kernel_size
    dtype = work_dtype(problem)
    images, _, across = plan.tiles.largest
    in_runs = images == 1 and across == plan.cols.results
    dy_as_it_lies = in_runs and _plain(dy, dtype)
    x_as_it_lies = in_runs and plan.pointwise and _plain(x, dtype)
    most = prod(plan.tiles.largest)

    def work(share: Iterable[int]) -> None:
        # The last block is the largest in each direction.
        g, g_end, k, k_end, c, c_end = plan.blocks[-1]
        size = (g_end - g) * (k_end - k) * (c_end - c) * height * width
        columns = np.empty(0 if x_as_it_lies else (g_end - g) * (c_end - c) * height * width * most, dtype)
        outputs = np.empty(0 if dy_as_it_lies else (g_end - g) * (k_end - k) * most, dtype)
        all_sums = np.empty(size, dtype)
        scratch = np.empty(size, dtype)
        at_once = group(len(plan.tiles), problem.terms)
        all_totals = np.empty(size if at_once < len(plan.tiles) else 0, dtype)
        for g, g_end, k, k_end, c, c_end in (plan.blocks[index] for index in share):
            groups, heads, channels = g_end - g, k_end - k, c_end - c
            length = channels * height * width
            sums = all_sums[: groups * heads * length].reshape(groups, heads, length)
            totals = all_totals[: sums.size].reshape(sums.shape) if all_totals.size else None
            for index in range(len(plan.tiles)):
                tile = plan.tiles.tile(index)
                if x_as_it_lies:
                    place = x[tile.places][0, g:g_end, c:c_end].reshape(groups, length, tile.pixels)
                else:
                    place = columns[: groups * length * tile.pixels].reshape(groups, length, tile.pixels)
                    spread = place.reshape(groups, channels, height, width, *tile.shape)
                    fill_columns(spread, x[:, g:g_end, c:c_end], plan.rows, plan.cols, tile)
                some = dy[tile.places][:, g:g_end, k:k_end]
                if dy_as_it_lies:
                    matrix = some[0].reshape(groups, heads, tile.pixels)
                else:
                    matrix = outputs[: groups * heads * tile.pixels].reshape(groups, heads, tile.pixels)
                    spread = matrix.reshape(groups, heads, *tile.shape)
                    spread[...] = some.transpose(1, 2, 0, 3, 4)
                multiply(matrix, place.swapaxes(1, 2), sums, scratch, add=index % at_once > 0)
                if totals is not None and (index % at_once == at_once - 1 or index == len(plan.tiles) - 1):
                    if index < at_once:
                        totals[...] = sums
                    else:
                        totals += sums
            if totals is not None:
                sums = totals
            store(dw[g:g_end, k:k_end, c:c_end], sums.reshape(groups, heads, channels, height, width))

    run(work, len(plan.blocks), threads)


def _plain(array: Array, dtype: np.dtype) -> bool:
    return bool(array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned)
