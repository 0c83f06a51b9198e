"""The three primitives: the plan's kernels, given arrays where they lie and numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from convhub.backend import Array, RunOptions
from convhub.problem import Problem

from .axes import Axis
from .plan import Launch, plan
from .runtime import Runtime

__all__ = ["described", "forward", "grad_input", "grad_weight"]

#: Offsets and counts that stay below it are 32 bits wide: the sum of two of them still fits.
INT_LIMIT = 2**30


def described(problem: Problem, options: RunOptions) -> str:
    """Return what runs a problem, for `explain`."""
    return plan(problem, options.workspace_limit).described


def forward(
    x: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions, runtime: Runtime
) -> Array:
    """Return ``y`` of shape (N, K, P, Q)."""
    return _correlate(x, _grouped(w, problem), bias, problem, options, runtime)


def grad_input(
    dy: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions, runtime: Runtime
) -> Array:
    """Return ``dx`` of shape (N, C, H, W)."""
    return _correlate(dy, _grouped(w, problem).swapaxes(1, 2), bias, problem, options, runtime)


def grad_weight(dy: Array, x: Array, problem: Problem, options: RunOptions, runtime: Runtime) -> Array:
    """Return ``dw`` of shape (K, C / groups, R, S)."""
    made = plan(problem, options.workspace_limit)
    dw = runtime.xp.empty(problem.result_shape, dy.dtype)
    groups, (top, _), (left, _) = problem.groups, *problem.padding
    M, C = problem.out_channels // groups, problem.in_channels // groups
    sizes = (problem.batch, groups, M, C, *problem.kernel_size, *problem.output_size, *problem.input_size)
    steps = (*problem.stride, *problem.dilation, top, left)
    pixels = problem.batch * math.prod(problem.output_size) + made.part_pixels
    index = _index(made.launches, (dy, x, dw), made.parts * dw.size, pixels, _reach(problem, x))
    strides = index.numbers((*_strides(dy), *_strides(x)))
    arguments = (*_ints(sizes), *strides, *_ints(steps))
    if made.algorithm == "grad_weight":
        total = np.float64 if problem.dtype == "float64" else np.float32
        sums = runtime.xp.empty(made.parts * dw.size, total)
        multiply, add = made.launches
        _launch(
            runtime, multiply, problem, index, (dy, x, sums, *arguments, *index.numbers((made.part_pixels,)))
        )
        _launch(runtime, add, problem, index, (sums, dw, *index.numbers((dw.size,)), np.int32(made.parts)))
        return dw
    for launch in made.launches:
        _launch(runtime, launch, problem, index, (dy, x, dw, *arguments))
    return dw


def _grouped(w: Array, problem: Problem) -> Array:
    """Return the weight as (groups, K / groups, C / groups, R, S), a view."""
    return w.reshape(problem.groups, problem.out_channels // problem.groups, *w.shape[1:])


def _correlate(
    source: Array, weight: Array, bias: Array | None, problem: Problem, options: RunOptions, runtime: Runtime
) -> Array:
    """Run forward or grad_input; `weight` is (groups, out channels, source channels, R, S)."""
    made = plan(problem, options.workspace_limit)
    out = runtime.xp.empty(problem.result_shape, source.dtype)
    groups, M, C = weight.shape[:3]
    sizes = (problem.batch, groups, M, C, *source.shape[2:], *out.shape[2:])
    pixels = problem.batch * math.prod(out.shape[2:]) + math.prod(weight.shape[2:])
    index = _index(made.launches, (source, weight, out), pixels, _reach(problem, source))
    bias_stride = 0 if bias is None else bias.strides[0] // bias.itemsize
    strides = index.numbers((*_strides(source), *_strides(weight), bias_stride))
    for launch in made.launches:
        arguments = (source, weight, bias, out, *_ints(sizes), *strides, *_ints(_axes(launch)))
        _launch(runtime, launch, problem, index, arguments)
    return out


class _Index:
    """The type of offsets: 32 bits where all that is counted fits."""

    def __init__(self, wide: bool) -> None:
        self.name = "long long" if wide else "int"
        self.type: type[np.signedinteger[Any]] = np.int64 if wide else np.int32

    def numbers(self, values: Sequence[int]) -> tuple[Any, ...]:
        return tuple(map(self.type, values))


def _index(launches: Sequence[Launch], arrays: Sequence[Array], *counts: int) -> _Index:
    spans = (sum((n - 1) * abs(s) for n, s in zip(a.shape, _strides(a), strict=True)) for a in arrays)
    wide = any(launch.file == "direct.cu" for launch in launches)
    return _Index(wide or max(*spans, *counts) >= INT_LIMIT)


def _reach(problem: Problem, source: Array) -> int:
    """Return how far from the image's first pixel a tap may look, in elements."""
    reach = 0
    for axis, stride in enumerate(_strides(source)[2:]):
        pixels = problem.input_size[axis] + problem.output_size[axis] * problem.stride[axis]
        pixels += problem.kernel_size[axis] * problem.dilation[axis] + sum(problem.padding[axis])
        reach += pixels * max(1, abs(stride))
    return reach


def _strides(array: Array) -> tuple[int, ...]:
    return tuple(stride // array.itemsize for stride in array.strides)


def _ints(values: Sequence[int]) -> tuple[np.int32, ...]:
    return tuple(map(np.int32, values))


def _axes(launch: Launch) -> tuple[int, ...]:
    rows, columns = launch.axes or (Axis(*[0] * 9), Axis(*[0] * 9))
    return (*rows, *columns)


def _launch(
    runtime: Runtime, launch: Launch, problem: Problem, index: _Index, arguments: tuple[Any, ...]
) -> None:
    grid, block = (launch.blocks, 1, 1), (launch.threads, 1, 1)
    runtime.launch(launch.source(problem.dtype, index.name), grid, block, arguments)
