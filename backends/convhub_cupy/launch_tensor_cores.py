"""Runs the primitives on tensor cores: packs operands, some images at a time, and multiplies them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from convhub.backend import Array, Problem

from .launch import Index, axes_of, index_for, ints, run, strides_of
from .plan.plan import Plan
from .plan.tensor_cores import chunks_of, gemm_blocks, packed_channels, packing
from .plan.tiling import ceil_div
from .plan.variants import TensorTile
from .runtime.cupy_runtime import Runtime

__all__ = ["correlate", "grad_weight"]

NARROW = Index(wide=False)  # of all that is packed: the plan sees to it


def correlate(
    made: Plan,
    source: Array,
    weight: Array,
    bias: Array | None,
    out: Array,
    problem: Problem,
    runtime: Runtime,
) -> None:
    """Run forward or grad_input into `out`; `weight` is (groups, out channels, source channels, R, S)."""
    assert isinstance(made.tile, TensorTile)
    groups, M, C, *kernel = weight.shape
    dtype = problem.dtype
    elements = groups * M * math.prod(kernel) * packed_channels(C, dtype)
    packed_weight = runtime.workspace(out, elements, source.dtype)
    index = index_for((weight,))
    arguments = (weight, packed_weight, *ints(*weight.shape), *index.numbers(*strides_of(weight)))
    run(runtime, made.launches[0], problem, index, arguments)
    bias_stride = NARROW.numbers(0 if bias is None else strides_of(bias)[0])
    packed = _packed(made, out, source, groups, C, runtime)
    for first in range(0, problem.batch, made.images):
        some, of_some = source[first : first + made.images], out[first : first + made.images]
        images = some.shape[0]
        _pack_pixels(some, packed, groups, problem, runtime)
        sizes = ints(images, groups, M, chunks_of(C, dtype), *kernel, *source.shape[2:], *out.shape[2:])
        for launch in made.launches[2:]:
            assert launch.axes is not None
            rows, columns = launch.axes
            blocks = gemm_blocks(made.tile, groups, M, images * rows.outputs * columns.outputs)
            arguments = (packed, packed_weight, bias, of_some, *sizes, *bias_stride, *axes_of(launch))
            run(runtime, dataclasses.replace(launch, blocks=blocks), problem, NARROW, arguments)


def grad_weight(made: Plan, dy: Array, x: Array, dw: Array, problem: Problem, runtime: Runtime) -> None:
    """Run grad_weight into `dw`; the images that are packed at a time have parts of their own."""
    assert isinstance(made.tile, TensorTile)
    groups, dtype = problem.groups, problem.dtype
    C, M = problem.group_channels
    columns = math.prod(problem.kernel_size) * packed_channels(C, dtype)
    packed_dy = _packed(made, dw, dy, groups, M, runtime)
    packed_x = _packed(made, dw, x, groups, C, runtime)
    of_part = problem.out_channels * columns
    sums = runtime.workspace(dw, made.parts * of_part, np.float32)
    (top, _), (left, _) = problem.padding
    _, _, multiply, add = made.launches
    part = 0
    for first in range(0, problem.batch, made.images):
        some_dy, some_x = dy[first : first + made.images], x[first : first + made.images]
        _pack_pixels(some_dy, packed_dy, groups, problem, runtime)
        _pack_pixels(some_x, packed_x, groups, problem, runtime)
        images = some_x.shape[0]
        parts = ceil_div(images * math.prod(problem.output_size), made.part_pixels)
        sizes = (images, groups, M, C, *problem.kernel_size, *problem.output_size, *problem.input_size)
        steps = (*problem.stride, *problem.dilation, top, left, made.part_pixels)
        blocks = gemm_blocks(made.tile, groups, M, columns) * parts
        arguments = (packed_dy, packed_x, sums[part * of_part :], *ints(*sizes, *steps))
        run(runtime, dataclasses.replace(multiply, blocks=blocks), problem, NARROW, arguments)
        part += parts
    taps = math.prod(problem.kernel_size)
    run(runtime, add, problem, NARROW, (sums, dw, *ints(problem.out_channels, C, taps, part)))


def _packed(made: Plan, result: Array, array: Array, groups: int, channels: int, runtime: Runtime) -> Array:
    """Return memory for as many packed images as there are at a time."""
    pixels = made.images * groups * math.prod(array.shape[2:])
    return runtime.workspace(result, pixels * packed_channels(channels, array.dtype.name), array.dtype)


def _pack_pixels(images: Array, packed: Array, groups: int, problem: Problem, runtime: Runtime) -> None:
    number, all_channels, height, width = images.shape
    channels = all_channels // groups
    launch = packing(problem.dtype, "pack_pixels", number * groups, channels, height * width)
    index = index_for((images,))
    sizes = ints(number, groups, channels, height, width)
    run(runtime, launch, problem, index, (images, packed, *sizes, *index.numbers(*strides_of(images))))
