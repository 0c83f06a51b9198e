"""Launches a plan's kernels, with the arrays in place and the numbers that they take."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from convhub.backend import Array, Problem

from .arguments import WIDE, Arguments, Index, axes, index_for, int32, pointers, strides_of
from .plan.axes import reach
from .plan.plan import Launch, Plan
from .runtime.cupy_runtime import Runtime

__all__ = [
    "Call",
    "correlate",
    "direct_correlate",
    "direct_grad_weight",
    "grad_weight",
    "grad_weight_in_parts",
    "implicit_gemm",
    "launch_kernel",
    "operands_of_correlation",
    "winograd",
]

CHANNELS_AT_ONCE = 8  # how many beyond the last one a pointer of Winograd's kernel may go

SOURCE_STRIDES = ("source_n", "source_c", "source_h", "source_w")
WEIGHT_STRIDES = ("weight_g", "weight_m", "weight_c", "weight_r", "weight_s")
DY_STRIDES = ("dy_n", "dy_k", "dy_p", "dy_q")
X_STRIDES = ("x_n", "x_c", "x_h", "x_w")


class Call(NamedTuple):
    """The arrays of a call: the operands as `convhub.backend` gives them, and the result to write."""

    problem: Problem
    operands: tuple[Any, ...]
    result: Array
    runtime: Runtime


def launch_kernel(call: Call, launch: Launch, index: Index, arguments: Arguments) -> None:
    """Enqueue one kernel."""
    grid, block = (launch.blocks, 1, 1), (launch.threads, 1, 1)
    source = launch.source(call.problem.dtype, index.name)
    call.runtime.launch(source, grid, block, tuple(arguments.values()))


# --- forward and grad_input ---------------------------------------------------------------------------------


def correlate(plan: Plan, call: Call) -> None:
    """Run forward or grad_input with a kernel that takes ``CORRELATION``."""
    _correlate(plan, call, *operands_of_correlation(call))


def direct_correlate(plan: Plan, call: Call) -> None:
    """Run forward or grad_input with `direct.cu`, whose offsets always have 64 bits."""
    _correlate(plan, call, *operands_of_correlation(call), index=WIDE)


def implicit_gemm(plan: Plan, call: Call) -> None:
    """Run forward or grad_input on a weight that is laid out for `implicit_gemm.cu`, if the plan has room."""
    source, weight, bias = operands_of_correlation(call)
    if plan.workspace_bytes:
        weight = _channels_last(weight, call)
    _correlate(plan, call, source, weight, bias)


def winograd(plan: Plan, call: Call) -> None:
    """Run forward or grad_input with two kernels: one transforms the weight, and the other does the rest."""
    transformed = call.runtime.workspace(call.result, plan.workspace_bytes // 4, np.float32)
    further = pointers(transformed=transformed)
    _correlate(plan, call, *operands_of_correlation(call), further=further)


def operands_of_correlation(call: Call) -> tuple[Array, Array, Array | None]:
    """Return the source, the weight as a view (groups, M, C, R, S), and the bias."""
    source, w, bias = call.operands
    problem = call.problem
    weight = w.reshape(problem.groups, problem.group_channels[1], *w.shape[1:])
    return source, weight if problem.primitive == "forward" else weight.swapaxes(1, 2), bias


def _correlate(
    plan: Plan,
    call: Call,
    source: Array,
    weight: Array,
    bias: Array | None,
    *,
    index: Index | None = None,
    further: Arguments | None = None,
) -> None:
    out = call.result
    groups, M, C, *kernel_size = weight.shape
    (height, width), (out_height, out_width) = source.shape[2:], out.shape[2:]
    source_strides = strides_of(source)
    if index is None:
        pixels = call.problem.batch * out_height * out_width + math.prod(kernel_size)
        beyond = CHANNELS_AT_ONCE * abs(source_strides[1])
        reached = reach(call.problem, source_strides[2:])
        counts = (pixels, plan.workspace_bytes // 4, beyond, reached)
        index = index_for((source, weight, out), *counts)
    common = {
        **pointers(source=source, weight=weight, bias=bias, out=out),
        **int32(images=call.problem.batch, groups=groups, M=M, C=C, height=height, width=width),
        **int32(out_height=out_height, out_width=out_width),
        **index.strides(SOURCE_STRIDES, source_strides),
        **index.strides(WEIGHT_STRIDES, strides_of(weight)),
        **index.numbers(bias_m=0 if bias is None else strides_of(bias)[0]),
    }
    for launch in plan.launches:
        assert launch.axes is not None
        arguments = common | axes(*launch.axes)
        launch_kernel(call, launch, index, arguments if further is None else arguments | further)


def _channels_last(weight: Array, call: Call) -> Array:
    """Return a weight (groups, M, C, R, S) whose output channels lie next to each other in memory."""
    transposed = weight.transpose(0, 3, 4, 2, 1)
    copy = call.runtime.workspace(call.result, weight.size, weight.dtype).reshape(transposed.shape)
    copy[...] = transposed
    return copy.transpose(0, 4, 3, 1, 2)


# --- grad_weight --------------------------------------------------------------------------------------------


def grad_weight(plan: Plan, call: Call) -> None:
    """Run grad_weight with one kernel that writes its result."""
    _grad_weight(plan, call, _index_of_gradients(plan, call))


def direct_grad_weight(plan: Plan, call: Call) -> None:
    """Run grad_weight with `direct.cu`, whose offsets always have 64 bits."""
    _grad_weight(plan, call, WIDE)


def grad_weight_in_parts(plan: Plan, call: Call) -> None:
    """Run grad_weight with `grad_weight.cu`: a kernel makes sums of each part, and another adds them up."""
    (dy, x), dw, index = call.operands, call.result, _index_of_gradients(plan, call)
    total = np.float64 if call.problem.dtype == "float64" else np.float32
    sums = call.runtime.workspace(dw, plan.parts * dw.size, total)
    multiply, add = plan.launches
    arguments = {
        **pointers(dy=dy, x=x, sums=sums),
        **_numbers_of_gradients(call, index),
        **index.numbers(part_pixels=plan.part_pixels),
    }
    launch_kernel(call, multiply, index, arguments)
    arguments = {**pointers(sums=sums, dw=dw), **index.numbers(count=dw.size), **int32(parts=plan.parts)}
    launch_kernel(call, add, index, arguments)


def _grad_weight(plan: Plan, call: Call, index: Index) -> None:
    dy, x = call.operands
    arguments = {**pointers(dy=dy, x=x, dw=call.result), **_numbers_of_gradients(call, index)}
    for launch in plan.launches:
        launch_kernel(call, launch, index, arguments)


def _index_of_gradients(plan: Plan, call: Call) -> Index:
    (dy, x), dw, problem = call.operands, call.result, call.problem
    pixels = problem.batch * math.prod(problem.output_size) + plan.part_pixels
    return index_for((dy, x, dw), plan.parts * dw.size, pixels, reach(problem, strides_of(x)[2:]))


def _numbers_of_gradients(call: Call, index: Index) -> Arguments:
    """Return the sizes and strides taken by all kernels of grad_weight that read arrays in place."""
    (dy, x), problem = call.operands, call.problem
    C, M = problem.group_channels
    (R, S), (P, Q), (height, width) = problem.kernel_size, problem.output_size, problem.input_size
    (stride_h, stride_w), (dilation_h, dilation_w) = problem.stride, problem.dilation
    (top, _), (left, _) = problem.padding
    return {
        **int32(images=problem.batch, groups=problem.groups, M=M, C=C, R=R, S=S, P=P, Q=Q),
        **int32(height=height, width=width),
        **index.strides(DY_STRIDES, strides_of(dy)),
        **index.strides(X_STRIDES, strides_of(x)),
        **int32(stride_h=stride_h, stride_w=stride_w, dilation_h=dilation_h, dilation_w=dilation_w),
        **int32(top=top, left=left),
    }
