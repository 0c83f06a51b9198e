"""Faults of temporary memory: workspace_limit not heard, heard in another unit, or by each thread."""

from __future__ import annotations

import math

import numpy as np

from .faults import fault

FOUND_BY = "workspace limit"


def _columns(problem):
    """Return how many numbers a matrix of all windows has."""
    windows = problem.batch * math.prod(problem.output_size) * math.prod(problem.kernel_size)
    return problem.in_channels * windows


@fault(FOUND_BY)
def all_columns_at_once(right, first, second, bias, problem, options):
    """Copies the windows of all outputs into one matrix, however large."""
    columns = np.zeros(_columns(problem), np.float32)
    return right(first, second, bias, problem, options) + first.dtype.type(columns[:1].sum())


@fault(FOUND_BY)
def limit_in_kibibytes(right, first, second, bias, problem, options):
    """Takes the limit for a number of kibibytes, and so never makes more than one tile."""
    tile = np.zeros(min(4 * _columns(problem), options.workspace_limit * 1024), np.uint8)
    return right(first, second, bias, problem, options) + first.dtype.type(tile[:1].sum())


@fault(FOUND_BY, on=("forward", "grad_weight"))
def limit_for_each_image_row(right, first, second, bias, problem, options):
    """Keeps the limit for the columns of each row of the result, and holds those of all rows."""
    row = min(4 * _columns(problem) // max(1, problem.output_size[0]), options.workspace_limit)
    rows = [np.zeros(row, np.uint8) for _ in range(problem.output_size[0])]
    result = right(first, second, bias, problem, options)
    return result + result.dtype.type(sum(int(one[:1].sum()) for one in rows))


@fault(FOUND_BY)
def limit_for_each_thread(right, first, second, bias, problem, options):
    """Wrong only with several threads: gives each a tile of the whole limit."""
    tiles = np.zeros((options.threads, options.workspace_limit), np.uint8) if options.threads > 1 else 0
    result = right(first, second, bias, problem, options)
    return result + result.dtype.type(np.sum(tiles))


@fault(FOUND_BY, remembers=True)
def scratch_that_only_grows():
    """Keeps scratch memory for the next call, and makes it as large as the largest problem needs."""
    kept = [np.zeros(0, np.float32)]

    def run(right, first, second, bias, problem, options):
        if kept[0].size < _columns(problem) < 2**22:
            kept[0] = np.zeros(_columns(problem), np.float32)
        return right(first, second, bias, problem, options)

    return run


@fault(FOUND_BY)
def product_of_each_tap_kept(right, first, second, bias, problem, options):
    """Keeps the products of each tap until all are added up."""
    products = np.zeros((math.prod(problem.kernel_size), 2, *problem.output_shape), np.float32)
    result = right(first, second, bias, problem, options)
    return result + result.dtype.type(products[:1].sum())
