"""The three primitives: make the plan, hand arrays and scratch to the kernels, share out the tasks."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from convhub.backend import Array, RunOptions
from convhub.problem import Problem

from . import direct, threads
from .blocking import Stage
from .compile import compiled, float_array
from .correlation import correlations
from .kernels import (
    INT,
    INTEGERS,
    TABLE,
    correlating_kernel,
    implicit_kernels,
    implicit_weight_kernel,
    reducing_kernel,
    winograd_kernels,
    winograd_weight_kernel,
)
from .narrow import as_stored, is_narrow_dtype, sum_dtype
from .plan import Plan, plan
from .scratch import scratch, shared_scratch
from .transform_codes import transform_codes, weight_transform_codes

__all__ = ["forward", "grad_input", "grad_weight"]


def forward(
    x: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions, vector_bits: int = 0
) -> Array:
    """Return ``y`` of shape (N, K, P, Q)."""
    ready = _prepared(problem, options, vector_bits)
    return _correlate(x, w.reshape(ready.grouped_weight), bias, problem, ready)


def grad_input(
    dy: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions, vector_bits: int = 0
) -> Array:
    """Return ``dx`` of shape (N, C, H, W)."""
    ready = _prepared(problem, options, vector_bits)
    if ready.matrix is not None and _plain(w):
        rows = w.reshape(problem.out_channels, -1, 1, 1)
        constants = None if bias is None else np.repeat(bias, math.prod(problem.kernel_size))
        return grad_input(dy, rows, constants, ready.matrix, options, vector_bits).reshape(ready.result_shape)
    return _correlate(dy, w.reshape(ready.grouped_weight).swapaxes(1, 2), bias, problem, ready)


def grad_weight(dy: Array, x: Array, problem: Problem, options: RunOptions, vector_bits: int = 0) -> Array:
    """Return ``dw`` of shape (K, C / groups, R, S)."""
    ready = _prepared(problem, options, vector_bits)
    made = ready.made
    dw = np.empty(ready.result_shape, dy.dtype)
    stored_dw, dy, x = (as_stored(array, problem.dtype) for array in (dw, dy, x))
    if made.algorithm == "direct":
        _grad_weight_direct(stored_dw, dy, x, problem, made)
        return dw
    if made.algorithm == "winograd":
        _grad_weight_winograd(stored_dw, dy, x, problem, made)
        return dw
    if made.algorithm == "implicit_gemm":
        _grad_weight_implicit(stored_dw, dy, x, problem, made)
        return dw
    (stage,) = made.stages
    kernel = ready.kernel
    flat_dw = stored_dw.reshape(-1)
    dy_in_place = _plain(dy) and not is_narrow_dtype(problem.dtype)
    x_in_place = _plain(x) and stage.source_in_place
    nothing = np.empty(0, sum_dtype(problem.dtype))
    flat_dy = dy.reshape(-1) if dy_in_place else nothing
    flat_x = x.reshape(-1) if x_in_place else nothing

    def work(first: int, last: int) -> None:
        items, table = scratch(stage.items, stage.integers, nothing.dtype)
        kernel(
            flat_dw, dy, flat_dy, x, flat_x, items, table, stage.taps, stage.phases, stage.sizes,
            dy_in_place, x_in_place, first, last, made.tile.height, made.tile.vectors, made.tile.lanes,
        )  # fmt: skip

    threads.run(work, stage.tasks, made.threads)
    return dw


class Prepared(NamedTuple):
    """What each call for a problem needs: computed once, since it takes longer than a tiny convolution."""

    made: Plan
    kernel: Callable[..., None] | None  # None: the algorithm has its own function
    result_shape: tuple[int, ...]
    grouped_weight: tuple[int, ...]  # (groups, K / groups, C / groups, R, S)
    reads_in_place: bool  # some stage does, if the source is contiguous
    fills: bool  # there are pixels that no tap of the kernel reaches
    matrix: Problem | None  # the same one pixel large, where the kernel is as large as the image


#: By the identity of problem and options, which are kept beside: their hashes would take longer.
_known: dict[tuple[int, int, int], tuple[Prepared, Problem, RunOptions]] = {}


def _prepared(problem: Problem, options: RunOptions, vector_bits: int) -> Prepared:
    key = (id(problem), id(options), vector_bits)
    known = _known.get(key)
    if known is None:
        if len(_known) >= 1024:
            _known.clear()
        known = _known[key] = (_prepare(problem, options, vector_bits), problem, options)
    return known[0]


def _prepare(problem: Problem, options: RunOptions, vector_bits: int) -> Prepared:
    made = plan(problem, options, vector_bits)
    kernel_for = reducing_kernel if problem.primitive == "grad_weight" else correlating_kernel
    return Prepared(
        made,
        None
        if made.algorithm in ("direct", "implicit_gemm", "winograd")
        else kernel_for(made.algorithm, problem.dtype, made.tile),
        problem.result_shape,
        (problem.groups, problem.out_channels // problem.groups, *problem.weight_shape[1:]),
        any(stage.source_in_place for stage in made.stages),
        made.algorithm in ("gemm", "indirect") and _covered(made) < math.prod(problem.result_shape[2:]),
        _as_matrix(problem) if made.algorithm == "gemm" else None,
    )


def _plain(array: Array) -> bool:
    return bool(array.flags.c_contiguous)


def _correlate(source: Array, weight: Array, bias: Array | None, problem: Problem, ready: Prepared) -> Array:
    """Run a forward or grad_input problem; `weight` is (groups, out channels, source channels, R, S)."""
    made, kernel = ready.made, ready.kernel
    out = np.empty(ready.result_shape, source.dtype)
    sums = sum_dtype(problem.dtype)
    constants = np.zeros(out.shape[1], sums) if bias is None else np.ascontiguousarray(bias, sums)
    stored, source, weight = (as_stored(array, problem.dtype) for array in (out, source, weight))
    if made.algorithm == "direct":
        _correlate_direct(stored, source, weight, constants, problem, made)
        return out
    if made.algorithm == "winograd":
        _correlate_winograd(stored, source, weight, constants, problem, made)
        return out
    if made.algorithm == "implicit_gemm":
        _correlate_implicit(stored, source, weight, constants, problem, made)
        return out
    if ready.fills:
        out[...] = constants[:, None, None]  # pixels that no tap of the kernel reaches
    flat_out = stored.reshape(-1)
    in_place = not is_narrow_dtype(problem.dtype)
    plain_source = in_place and ready.reads_in_place and _plain(source)
    plain_weight = in_place and _plain(weight)
    flat_source = source.reshape(-1) if plain_source else constants
    flat_weight = weight.reshape(-1) if plain_weight else constants

    def work(stage: Stage, first: int, last: int) -> None:
        items, table = scratch(stage.items, stage.integers, sums)
        kernel(
            flat_out, source, flat_source, weight, flat_weight, constants, items, table, stage.taps,
            stage.phases, stage.sizes, plain_source and stage.source_in_place,
            plain_weight and stage.weight_in_place, first, last, *made.tile.literals,
        )  # fmt: skip

    if len(made.stages) == 1:
        (stage,) = made.stages
        if made.threads == 1:
            work(stage, 0, stage.tasks)
            return out
        threads.run(lambda first, last: work(stage, first, last), stage.tasks, made.threads)
    else:
        _run_stages(work, made)
    return out


def _correlate_winograd(
    out: Array, source: Array, weight: Array, bias: Array, problem: Problem, made: Plan
) -> None:
    """Transform the weight once for all threads, then run the tiles."""
    (stage,) = made.stages
    tile = made.tile
    transform, kernel = winograd_kernels(problem.dtype, tile)
    sums = sum_dtype(problem.dtype)
    codes = transform_codes(sums.name, made.schemes, tile.lanes)
    transformed = shared_scratch(stage.shared_items, sums)
    flat_out = out.reshape(-1)

    def prepare(first: int, last: int) -> None:
        items, table = scratch(stage.items, stage.integers, sums)
        transform(
            transformed,
            weight,
            items,
            table,
            stage.sizes,
            first,
            last,
            codes.kernel,
            tile.vectors,
            tile.lanes,
        )

    def work(first: int, last: int) -> None:
        items, table = scratch(stage.items, stage.integers, sums)
        kernel(
            flat_out, source, weight, transformed, bias, items, table, stage.sizes, first, last,
            codes.source, codes.output, tile.height, tile.vectors, tile.lanes,
        )  # fmt: skip

    panels = -(-stage.sizes.out_channels // tile.width)
    threads.run(prepare, problem.groups * panels, made.threads)
    threads.run(work, stage.tasks, made.threads)


def _correlate_implicit(
    out: Array, source: Array, weight: Array, bias: Array, problem: Problem, made: Plan
) -> None:
    """Pack the weight once for all threads, then run the tiles."""
    (stage,) = made.stages
    tile, sums = made.tile, sum_dtype(problem.dtype)
    pack, kernel = implicit_kernels(problem.dtype, tile)
    packed = shared_scratch(stage.shared_items, sums)
    flat_out = out.reshape(-1)

    def prepare(first: int, last: int) -> None:
        items, table = scratch(stage.items, stage.integers, sums)
        pack(
            packed, weight, items, table, stage.taps, stage.phases, stage.sizes, first, last, tile.vectors,
            tile.lanes,
        )  # fmt: skip

    def work(first: int, last: int) -> None:
        items, table = scratch(stage.items, stage.integers, sums)
        kernel(
            flat_out, source, packed, bias, items, table, stage.taps, stage.phases, stage.sizes, first, last,
            tile.height, tile.vectors, tile.lanes,
        )  # fmt: skip

    threads.run(prepare, problem.groups * -(-stage.sizes.out_channels // tile.width), made.threads)
    threads.run(work, stage.tasks, made.threads)


def _grad_weight_winograd(dw: Array, dy: Array, x: Array, problem: Problem, made: Plan) -> None:
    (stage,) = made.stages
    tile, sums = made.tile, sum_dtype(problem.dtype)
    kernel = winograd_weight_kernel(problem.dtype, tile)
    codes = weight_transform_codes(sums.name, made.schemes, tile.lanes)
    flat_dw = dw.reshape(-1)
    taps = math.prod(problem.kernel_size)

    def work(first: int, last: int) -> None:
        items, table = scratch(stage.items, stage.integers, sums)
        kernel(
            flat_dw, dy, x, items, table, taps, problem.kernel_size[1], stage.sizes, first, last,
            codes.source, codes.gradient, codes.kernel, tile.height, tile.vectors, tile.lanes,
        )  # fmt: skip

    threads.run(work, stage.tasks, made.threads)


def _grad_weight_implicit(dw: Array, dy: Array, x: Array, problem: Problem, made: Plan) -> None:
    (stage,) = made.stages
    tile, sums = made.tile, sum_dtype(problem.dtype)
    kernel = implicit_weight_kernel(problem.dtype, tile)
    flat_dw = dw.reshape(-1)

    def work(first: int, last: int) -> None:
        items, table = scratch(stage.items, stage.integers, sums)
        kernel(flat_dw, dy, x, items, table, stage.sizes, first, last, tile.height, tile.vectors, tile.lanes)

    threads.run(work, stage.tasks, made.threads)


def _as_matrix(problem: Problem) -> Problem | None:
    """Return the problem with each element of the kernel as a channel, where each meets one pixel only.

    As a correlation, ``dx`` would be a kernel's size times as many products, most of them with padding.
    """
    size = problem.kernel_size
    if size != problem.input_size or size == (1, 1) or any(map(any, problem.padding)):
        return None
    if problem.output_size != (1, 1) or problem.dilation != (1, 1):
        return None
    channels = problem.in_channels * math.prod(size)
    return problem.replace(
        in_channels=channels, input_size=(1, 1), kernel_size=(1, 1), stride=(1, 1), output_size=(1, 1)
    )


def _covered(made: Plan) -> int:
    """Return how many pixels the stages compute."""
    return sum(stage.sizes.rows * stage.sizes.columns for stage in made.stages)


def _run_stages(work: Callable[[Stage, int, int], None], made: Plan) -> None:
    """Run the tasks of all stages as one list."""

    def work_range(first: int, last: int) -> None:
        for stage in made.stages:
            if first < stage.tasks and last > 0:
                work(stage, max(first, 0), min(last, stage.tasks))
            first, last = first - stage.tasks, last - stage.tasks

    threads.run(work_range, sum(stage.tasks for stage in made.stages), made.threads)


def _correlate_direct(
    out: Array, source: Array, weight: Array, bias: Array, problem: Problem, made: Plan
) -> None:
    strided = float_array(problem.dtype, 4)
    kernel = compiled(
        direct.correlate, strided, strided, float_array(problem.dtype, 5),
        float_array(sum_dtype(problem.dtype).name, 1), TABLE, TABLE, INTEGERS, INT, INT,
    )  # fmt: skip
    for part in correlations(problem):
        rows, columns = part.rows, part.columns
        row_taps = np.array(rows.taps, np.int64).reshape(-1, 2)
        column_taps = np.array(columns.taps, np.int64).reshape(-1, 2)
        sizes = np.array((*rows[:3], *columns[:3], rows.source_step, columns.source_step))
        arguments = (out, source, weight, bias, row_taps, column_taps, sizes)
        work = functools.partial(kernel, *arguments)
        threads.run(work, out.shape[0] * out.shape[1], made.threads)


def _grad_weight_direct(dw: Array, dy: Array, x: Array, problem: Problem, made: Plan) -> None:
    strided = float_array(problem.dtype, 4)
    kernel = compiled(direct.grad_weight, strided, strided, strided, INTEGERS, INTEGERS, INT, INT)
    shifts = np.array([problem.padding[0][0], problem.padding[1][0]])
    sizes = np.array([*problem.stride, *problem.dilation])
    threads.run(
        lambda first, last: kernel(dw, dy, x, shifts, sizes, first, last),
        dw.shape[0] * dw.shape[1],
        made.threads,
    )
