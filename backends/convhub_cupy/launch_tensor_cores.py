"""Launches the kernels for tensor cores, which pack some images at a time and multiply them.

Offsets into packed operands have 32 bits: the plan makes sure of it.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from convhub.backend import Array

from .arguments import NARROW, axes, index_for, int32, pointers, strides_of
from .launch import SOURCE_STRIDES, WEIGHT_STRIDES, Call, launch_kernel, operands_of_correlation
from .plan.plan import Plan
from .plan.tensor_cores import chunks_of, gemm_blocks, packed_channels, packing
from .plan.tiling import ceil_div
from .plan.variants import TensorTile

__all__ = ["correlate", "grad_weight"]


def correlate(plan: Plan, call: Call) -> None:
    """Run forward or grad_input."""
    assert isinstance(plan.tile, TensorTile)
    problem, out = call.problem, call.result
    source, weight, bias = operands_of_correlation(call)
    groups, M, C, R, S = weight.shape
    chunks = chunks_of(C, problem.dtype)
    (height, width), (out_height, out_width) = source.shape[2:], out.shape[2:]
    packed_weight = _pack_weight(plan, call, weight)
    packed = _memory_for_images(plan, call, source, groups, C)
    for first in range(0, problem.batch, plan.images):
        turn = slice(first, first + plan.images)
        images = source[turn].shape[0]
        _pack_pixels(call, source[turn], packed, groups)
        common = {
            **pointers(source=packed, weight=packed_weight, bias=bias, out=out[turn]),
            **int32(images=images, groups=groups, M=M, chunks=chunks, R=R, S=S, height=height, width=width),
            **int32(out_height=out_height, out_width=out_width),
            **NARROW.numbers(bias_m=0 if bias is None else strides_of(bias)[0]),
        }
        for launch in plan.launches[2:]:
            assert launch.axes is not None
            rows, columns = launch.axes
            blocks = gemm_blocks(plan.tile, groups, M, images * rows.outputs * columns.outputs)
            launch = dataclasses.replace(launch, blocks=blocks)
            launch_kernel(call, launch, NARROW, {**common, **axes(rows, columns)})


def grad_weight(plan: Plan, call: Call) -> None:
    """Run grad_weight; the images that are packed at a time have separate parts."""
    assert isinstance(plan.tile, TensorTile)
    (dy, x), dw, problem = call.operands, call.result, call.problem
    C, M = problem.group_channels
    (R, S), (P, Q), (height, width) = problem.kernel_size, problem.output_size, problem.input_size
    (stride_h, stride_w), (dilation_h, dilation_w) = problem.stride, problem.dilation
    (top, _), (left, _) = problem.padding
    columns = R * S * packed_channels(C, problem.dtype)
    packed_dy = _memory_for_images(plan, call, dy, problem.groups, M)
    packed_x = _memory_for_images(plan, call, x, problem.groups, C)
    part_elements = problem.out_channels * columns
    sums = call.runtime.workspace(dw, plan.parts * part_elements, np.float32)
    _, _, multiply, add = plan.launches
    part = 0
    for first in range(0, problem.batch, plan.images):
        turn = slice(first, first + plan.images)
        _pack_pixels(call, dy[turn], packed_dy, problem.groups)
        _pack_pixels(call, x[turn], packed_x, problem.groups)
        images = x[turn].shape[0]
        parts = ceil_div(images * P * Q, plan.part_pixels)
        blocks = gemm_blocks(plan.tile, problem.groups, M, columns) * parts
        arguments = {
            **pointers(dy=packed_dy, x=packed_x, sums=sums[part * part_elements :]),
            **int32(images=images, groups=problem.groups, M=M, C=C, R=R, S=S, P=P, Q=Q),
            **int32(height=height, width=width, stride_h=stride_h, stride_w=stride_w),
            **int32(dilation_h=dilation_h, dilation_w=dilation_w, top=top, left=left),
            **NARROW.numbers(part_pixels=plan.part_pixels),
        }
        launch_kernel(call, dataclasses.replace(multiply, blocks=blocks), NARROW, arguments)
        part += parts
    arguments = {
        **pointers(sums=sums, dw=dw),
        **NARROW.numbers(channels=problem.out_channels),
        **int32(C=C, taps=R * S, parts=part),
    }
    launch_kernel(call, add, NARROW, arguments)


def _memory_for_images(plan: Plan, call: Call, array: Array, groups: int, channels: int) -> Array:
    """Return memory for as many packed images as there are at a time."""
    pixels = plan.images * groups * math.prod(array.shape[2:])
    size = pixels * packed_channels(channels, call.problem.dtype)
    return call.runtime.workspace(call.result, size, array.dtype)


def _pack_weight(plan: Plan, call: Call, weight: Array) -> Array:
    groups, M, C, R, S = weight.shape
    elements = groups * M * R * S * packed_channels(C, call.problem.dtype)
    packed = call.runtime.workspace(call.result, elements, weight.dtype)
    index = index_for((weight,))
    arguments = {
        **pointers(weight=weight, packed=packed),
        **int32(groups=groups, M=M, C=C, R=R, S=S),
        **index.strides(WEIGHT_STRIDES, strides_of(weight)),
    }
    launch_kernel(call, plan.launches[0], index, arguments)
    return packed


def _pack_pixels(call: Call, images: Array, packed: Array, groups: int) -> None:
    number, all_channels, height, width = images.shape
    channels = all_channels // groups
    launch = packing(call.problem.dtype, "pack_pixels", number * groups, channels, height * width)
    index = index_for((images,))
    arguments = {
        **pointers(source=images, packed=packed),
        **int32(images=number, groups=groups, C=channels, height=height, width=width),
        **index.strides(SOURCE_STRIDES, strides_of(images)),
    }
    launch_kernel(call, launch, index, arguments)
