"""Runs the three primitives: makes the plan, hands arrays and scratch to kernels, shares out the tasks."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from convhub.backend import Array, Problem, RunOptions

from .algorithms.winograd.transform_codes import transform_codes, weight_transform_codes
from .blocking import Stage
from .correlation import correlations
from .kernels import (
    correlating_kernel,
    direct_kernel,
    direct_weight_kernel,
    implicit_kernels,
    implicit_weight_kernel,
    recomputing_kernel,
    recomputing_weight_kernel,
    reducing_kernel,
    winograd_kernels,
    winograd_weight_kernel,
)
from .plan import Plan, plan, prepared
from .recompute import Geometry
from .runtime import threads
from .runtime.scratch import scratch, shared_scratch
from .runtime.threads import Kernel
from .tiling import ceil_div
from .vectors.half import as_stored, is_narrow_dtype, sum_dtype

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
        _grad_weight_direct(stored_dw, dy, x, problem, ready)
        return dw
    if made.algorithm == "winograd":
        _grad_weight_winograd(stored_dw, dy, x, problem, ready)
        return dw
    if made.algorithm == "implicit_gemm":
        _grad_weight_implicit(stored_dw, dy, x, problem, ready)
        return dw
    (stage,) = made.stages
    kernel = ready.kernel
    assert kernel is not None, "the algorithms without one have returned"
    flat_dw = stored_dw.reshape(-1)
    dy_in_place = _plain(dy) and not is_narrow_dtype(problem.dtype)
    x_in_place = _plain(x) and stage.source_in_place
    nothing = np.empty(0, sum_dtype(problem.dtype))
    flat_dy = dy.reshape(-1) if dy_in_place else nothing
    flat_x = x.reshape(-1) if x_in_place else nothing
    _share(
        kernel, stage, stage.tasks, ready, nothing.dtype,
        flat_dw, dy, flat_dy, x, flat_x, stage.taps, stage.phases, stage.sizes, dy_in_place, x_in_place,
        made.tile.height, made.tile.vectors, made.tile.lanes,
    )  # fmt: skip
    return dw


def _share(kernel: Kernel, stage: Stage, tasks: int, ready: Prepared, sums: Any, *arguments: object) -> None:
    """Run a kernel's tasks on several threads, with the scratch memory that a stage needs on each."""
    count = ready.made.threads
    memory = scratch(stage.items, stage.integers, sums, count)
    threads.run(kernel, tasks, count, memory, arguments, ready.ranges)


def _share_plain(kernel: Kernel, tasks: int, problem: Problem, ready: Prepared, *arguments: object) -> None:
    """Run the tasks of a kernel without scratch memory, whose sums take many times as long."""
    count = ready.made.threads
    threads.run(kernel, tasks, count, (), arguments, threads.ranges_for(8 * problem.macs, count))


class Prepared(NamedTuple):
    """What each call for a problem needs: computed once, since it takes longer than a tiny convolution."""

    made: Plan
    kernel: Kernel | None  # None: the algorithm has its own function
    result_shape: tuple[int, ...]
    grouped_weight: tuple[int, ...]  # (groups, K / groups, C / groups, R, S)
    reads_in_place: bool  # some stage does, if the source is contiguous
    fills: bool  # there are pixels that no tap of the kernel reaches
    ranges: int  # of each thread's tasks, of one stage
    matrix: Problem | None  # the same one pixel large, where the kernel is as large as the image


#: By the identity of problem and options, which are kept beside: their hashes would take longer. It forgets
#: all when the cache of plans does, so that both together stay within that one's limit.
_known: dict[tuple[int, int, int], tuple[Prepared, Problem, RunOptions]] = prepared


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
        (problem.groups, problem.group_channels[1], *problem.weight_shape[1:]),
        any(stage.source_in_place for stage in made.stages),
        _leaves_pixels(made, problem),
        threads.ranges_for(problem.macs // max(1, len(made.stages)), made.threads),
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
    stored, narrow = out, is_narrow_dtype(problem.dtype)
    if narrow:
        stored, source, weight = (as_stored(array, problem.dtype) for array in (out, source, weight))
    if ready.fills:
        out[...] = constants[:, None, None]  # pixels that no tap of the kernel reaches
    if made.algorithm == "direct":
        _correlate_direct(stored, source, weight, constants, problem, ready)
        return out
    if made.algorithm == "winograd":
        _correlate_winograd(stored, source, weight, constants, problem, ready)
        return out
    if made.algorithm == "implicit_gemm":
        _correlate_implicit(stored, source, weight, constants, problem, ready)
        return out
    if made.algorithm == "depthwise":
        weight = weight.swapaxes(0, 1)  # channels where an image has them
    flat_out = stored.reshape(-1)
    in_place = not narrow
    plain_source = in_place and ready.reads_in_place and _plain(source)
    plain_weight = in_place and _plain(weight)
    assert kernel is not None, "the algorithms without one have returned"
    flat_source = source.reshape(-1) if plain_source else constants
    flat_weight = weight.reshape(-1) if plain_weight else constants

    for stage in made.stages:
        _share(
            kernel, stage, stage.tasks, ready, sums,
            flat_out, source, flat_source, weight, flat_weight, constants, stage.taps, stage.phases,
            stage.sizes, plain_source and stage.source_in_place, plain_weight and stage.weight_in_place,
            *made.tile.literals,
        )  # fmt: skip
    return out


def _correlate_winograd(
    out: Array, source: Array, weight: Array, bias: Array, problem: Problem, ready: Prepared
) -> None:
    """Transform the weight once for all threads, then run the tiles, then recompute what is not finite."""
    made = ready.made
    (stage,) = made.stages
    tile = made.tile
    transform, kernel = winograd_kernels(problem.dtype, tile)
    sums = sum_dtype(problem.dtype)
    codes = transform_codes(sums.name, made.schemes, tile.lanes)
    transformed, flags = shared_scratch(stage.shared_items, sums), np.zeros(1, np.int64)
    panels = ceil_div(stage.sizes.out_channels, tile.width)
    _share(
        transform, stage, problem.groups * panels * stage.sizes.channel_blocks, ready, sums,
        transformed, weight, stage.sizes, codes.kernel, tile.vectors, tile.lanes,
    )  # fmt: skip
    _share(
        kernel, stage, stage.tasks, ready, sums,
        out.reshape(-1), flags, source, transformed, bias, stage.sizes, codes.source, codes.output,
        tile.height, tile.vectors, tile.lanes,
    )  # fmt: skip
    if flags[0]:
        arguments = (out, source, weight, bias, _geometry(problem))
        _share_plain(
            recomputing_kernel(problem.dtype), out.shape[0] * out.shape[1], problem, ready, *arguments
        )


def _correlate_implicit(
    out: Array, source: Array, weight: Array, bias: Array, problem: Problem, ready: Prepared
) -> None:
    """Pack the weight once for all threads, then run the tiles."""
    made = ready.made
    (stage,) = made.stages
    tile, sums = made.tile, sum_dtype(problem.dtype)
    pack, kernel = implicit_kernels(problem.dtype, tile)
    packed = shared_scratch(stage.shared_items, sums)
    _share(
        pack, stage, problem.groups * ceil_div(stage.sizes.out_channels, tile.width), ready, sums,
        packed, weight, stage.taps, stage.phases, stage.sizes, tile.vectors, tile.lanes,
    )  # fmt: skip
    _share(
        kernel, stage, stage.tasks, ready, sums,
        out.reshape(-1), source, packed, bias, stage.taps, stage.phases, stage.sizes, tile.height,
        tile.vectors, tile.lanes,
    )  # fmt: skip


def _grad_weight_winograd(dw: Array, dy: Array, x: Array, problem: Problem, ready: Prepared) -> None:
    made = ready.made
    (stage,) = made.stages
    tile, sums = made.tile, sum_dtype(problem.dtype)
    kernel = winograd_weight_kernel(problem.dtype, tile)
    codes, flags = weight_transform_codes(sums.name, made.schemes, tile.lanes), np.zeros(1, np.int64)
    _share(
        kernel, stage, stage.tasks, ready, sums,
        dw.reshape(-1), flags, dy, x, math.prod(problem.kernel_size), stage.sizes,
        codes.source, codes.gradient, codes.kernel, tile.height, tile.vectors, tile.lanes,
    )  # fmt: skip
    if flags[0]:
        arguments = (dw, dy, x, _geometry(problem))
        _share_plain(
            recomputing_weight_kernel(problem.dtype), dw.shape[0] * dw.shape[1], problem, ready, *arguments
        )


def _geometry(problem: Problem) -> Geometry:
    (top, _), (left, _) = problem.padding
    return Geometry(
        *problem.stride, *problem.dilation, top, left, spread=int(problem.primitive == "grad_input")
    )


def _grad_weight_implicit(dw: Array, dy: Array, x: Array, problem: Problem, ready: Prepared) -> None:
    made = ready.made
    (stage,) = made.stages
    tile, sums = made.tile, sum_dtype(problem.dtype)
    _share(
        implicit_weight_kernel(problem.dtype, tile), stage, stage.tasks, ready, sums,
        dw.reshape(-1), dy, x, stage.sizes, tile.height, tile.vectors, tile.lanes,
    )  # fmt: skip


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


def _leaves_pixels(made: Plan, problem: Problem) -> bool:
    """Say whether there may be pixels that the algorithm does not compute, since no tap reaches them."""
    if made.algorithm == "direct":
        return problem.primitive == "grad_input"
    return made.algorithm in ("gemm", "indirect") and _covered(made) < math.prod(problem.result_shape[2:])


def _covered(made: Plan) -> int:
    """Return how many pixels the stages compute."""
    return sum(stage.sizes.rows * stage.sizes.columns for stage in made.stages)


def _correlate_direct(
    out: Array, source: Array, weight: Array, bias: Array, problem: Problem, ready: Prepared
) -> None:
    kernel = direct_kernel(problem.dtype)
    for part in correlations(problem, reached=True):
        rows, columns = part.rows, part.columns
        row_taps = np.array(rows.taps, np.int64).reshape(-1, 2)
        column_taps = np.array(columns.taps, np.int64).reshape(-1, 2)
        sizes = np.array((*rows[:3], *columns[:3], rows.source_step, columns.source_step))
        arguments = (out, source, weight, bias, row_taps, column_taps, sizes)
        _share_plain(kernel, out.shape[0] * out.shape[1], problem, ready, *arguments)


def _grad_weight_direct(dw: Array, dy: Array, x: Array, problem: Problem, ready: Prepared) -> None:
    kernel = direct_weight_kernel(problem.dtype)
    shifts = np.array([problem.padding[0][0], problem.padding[1][0]])
    sizes = np.array([*problem.stride, *problem.dilation])
    _share_plain(kernel, dw.shape[0] * dw.shape[1], problem, ready, dw, dy, x, shifts, sizes)
