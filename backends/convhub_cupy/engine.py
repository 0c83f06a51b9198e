"""Runs the three primitives: the plan's kernels, given arrays where they lie and numbers."""

from __future__ import annotations

import math

import numpy as np

from convhub.backend import Accuracy, Array, Problem, RunOptions

from . import launch_tensor_cores
from .launch import Index, axes_of, index_for, ints, run, strides_of
from .plan.axes import reach
from .plan.plan import Plan, Settings
from .planner import plan
from .runtime.cupy_runtime import Runtime

__all__ = ["accuracy", "described", "forward", "grad_input", "grad_weight", "workspace_bytes"]

CHANNELS_AT_ONCE = 8  # so many beyond the last one a pointer of Winograd's kernel may go


def described(problem: Problem, options: RunOptions, capability: tuple[int, int]) -> str:
    """Return what runs a problem on a device of some compute capability, for `explain`."""
    return plan(problem, Settings.of(options, capability)).described


def accuracy(problem: Problem, options: RunOptions, capability: tuple[int, int]) -> Accuracy:
    """Return the accuracy class of what runs a problem on such a device."""
    algorithm = plan(problem, Settings.of(options, capability)).algorithm
    return "normwise" if algorithm == "winograd" else "componentwise"


def _plan(problem: Problem, options: RunOptions, runtime: Runtime) -> Plan:
    return plan(problem, Settings.of(options, runtime.capability))


def workspace_bytes(problem: Problem, options: RunOptions, runtime: Runtime) -> int:
    """Return how much memory a problem takes beyond its arrays."""
    return _plan(problem, options, runtime).workspace_bytes


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
    made = _plan(problem, options, runtime)
    dw = runtime.xp.empty(problem.result_shape, dy.dtype)
    if made.algorithm.startswith("tensor_weight"):
        launch_tensor_cores.grad_weight(made, dy, x, dw, problem, runtime)
        return dw
    groups, (top, _), (left, _) = problem.groups, *problem.padding
    C, M = problem.group_channels
    sizes = (problem.batch, groups, M, C, *problem.kernel_size, *problem.output_size, *problem.input_size)
    pixels = problem.batch * math.prod(problem.output_size) + made.part_pixels
    index = _index(made, (dy, x, dw), made.parts * dw.size, pixels, reach(problem, strides_of(x)[2:]))
    strides = index.numbers(*strides_of(dy), *strides_of(x))
    arguments = (*ints(*sizes), *strides, *ints(*problem.stride, *problem.dilation, top, left))
    if made.algorithm == "grad_weight":
        total = np.float64 if problem.dtype == "float64" else np.float32
        sums = runtime.workspace(dw, made.parts * dw.size, total)
        multiply, add = made.launches
        run(runtime, multiply, problem, index, (dy, x, sums, *arguments, *index.numbers(made.part_pixels)))
        run(runtime, add, problem, index, (sums, dw, *index.numbers(dw.size), *ints(made.parts)))
        return dw
    for launch in made.launches:
        run(runtime, launch, problem, index, (dy, x, dw, *arguments))
    return dw


def _grouped(w: Array, problem: Problem) -> Array:
    """Return the weight as (groups, K / groups, C / groups, R, S), a view."""
    return w.reshape(problem.groups, problem.group_channels[1], *w.shape[1:])


def _correlate(
    source: Array, weight: Array, bias: Array | None, problem: Problem, options: RunOptions, runtime: Runtime
) -> Array:
    """Run forward or grad_input; `weight` is (groups, out channels, source channels, R, S)."""
    made = _plan(problem, options, runtime)
    out = runtime.xp.empty(problem.result_shape, source.dtype)
    if made.algorithm.startswith("tensor_gemm"):
        launch_tensor_cores.correlate(made, source, weight, bias, out, problem, runtime)
        return out
    if made.algorithm == "implicit_gemm" and made.workspace_bytes:
        weight = _channels_last(weight, out, runtime)
    groups, M, C = weight.shape[:3]
    sizes = (problem.batch, groups, M, C, *source.shape[2:], *out.shape[2:])
    pixels = problem.batch * math.prod(out.shape[2:]) + math.prod(weight.shape[2:])
    workspace: tuple[Array, ...] = ()
    if made.algorithm == "winograd":
        workspace = (runtime.workspace(out, made.workspace_bytes // 4, np.float32),)
    further = CHANNELS_AT_ONCE * abs(strides_of(source)[1])
    counts = (pixels, made.workspace_bytes // 4, further, reach(problem, strides_of(source)[2:]))
    index = _index(made, (source, weight, out), *counts)
    bias_stride = 0 if bias is None else strides_of(bias)[0]
    strides = index.numbers(*strides_of(source), *strides_of(weight), bias_stride)
    for launch in made.launches:
        arguments = (source, weight, bias, out, *ints(*sizes), *strides, *axes_of(launch), *workspace)
        run(runtime, launch, problem, index, arguments)
    return out


def _channels_last(weight: Array, out: Array, runtime: Runtime) -> Array:
    """Return a weight (groups, M, C, R, S) whose output channels lie next to each other in memory."""
    turned = weight.transpose(0, 3, 4, 2, 1)
    made = runtime.workspace(out, weight.size, weight.dtype).reshape(turned.shape)
    made[...] = turned
    return made.transpose(0, 4, 3, 1, 2)


def _index(made: Plan, arrays: tuple[Array, ...], *counts: int) -> Index:
    """Return the type of offsets; `direct` has one variant only."""
    return Index(wide=True) if made.algorithm == "direct" else index_for(arrays, *counts)
