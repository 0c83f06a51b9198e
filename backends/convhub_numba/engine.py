"""Runs the three primitives: makes the plan, and passes arrays, as kernels take them, to its algorithm."""

from __future__ import annotations

import functools
import math
from typing import Any, Literal

import numpy as np

from convhub.backend import Array, Problem, RunOptions

from .launch import Prepared, array_types, literals
from .planner import algorithm_of, make_plan, prepared_plans
from .runtime import companion, threads
from .runtime.compile import compiled_here, listed
from .vectors.half import as_stored, is_narrow_dtype, stored_dtype, sum_dtype

__all__ = ["compile_kernels", "expect", "forward", "grad_input", "grad_weight", "likely_kernels", "machinery"]

#: Up to this many channels, the zeros for a call without a bias are kept: making them slows a tiny call down.
MOST_ZEROS = 1024


def forward(
    x: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions, vector_bits: int = 0
) -> Array:
    """Return ``y`` of shape (N, K, P, Q)."""
    prepared = _prepared(problem, options, vector_bits)
    return _correlate(x, w.reshape(prepared.grouped_weight), bias, prepared)


def grad_input(
    dy: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions, vector_bits: int = 0
) -> Array:
    """Return ``dx`` of shape (N, C, H, W)."""
    prepared = _prepared(problem, options, vector_bits)
    if prepared.rewritten is not None and w.flags.c_contiguous:
        rows = w.reshape(problem.out_channels, -1, 1, 1)
        constants = None if bias is None else np.repeat(bias, math.prod(problem.kernel_size))
        dx = grad_input(dy, rows, constants, prepared.rewritten, options, vector_bits)
        return dx.reshape(prepared.result_shape)
    return _correlate(dy, w.reshape(prepared.grouped_weight).swapaxes(1, 2), bias, prepared)


def grad_weight(dy: Array, x: Array, problem: Problem, options: RunOptions, vector_bits: int = 0) -> Array:
    """Return ``dw`` of shape (K, C / groups, R, S)."""
    prepared = _prepared(problem, options, vector_bits)
    dw = np.empty(prepared.result_shape, dy.dtype)
    prepared.run(prepared, *(as_stored(array, problem.dtype) for array in (dw, dy, x)))
    return dw


def compile_kernels(problem: Problem, options: RunOptions, vector_bits: int = 0) -> int:
    """Compile all kernels that calls of a problem may launch; return how many were not kept on disk yet."""
    with compiled_here() as made:
        threads.compile_machinery()
        _run_compiling(problem, options, vector_bits, "all")
    return len(made)


def likely_kernels(problem: Problem, options: RunOptions, vector_bits: int = 0) -> list[tuple[Any, ...]]:
    """List the kernels that calls of a problem are likely to launch, in their order."""
    with listed() as keys:
        _run_compiling(problem, options, vector_bits, "likely")
    return keys


def machinery() -> list[tuple[Any, ...]]:
    """List what every call needs beside its kernels."""
    with listed() as keys:
        threads.compile_machinery()
    return keys


def expect(problem: Problem, options: RunOptions) -> None:
    """Have another process compile what a later call will need, if anything has to be compiled."""
    companion.expect(problem, options, 0)


def _run_compiling(
    problem: Problem, options: RunOptions, vector_bits: int, which: Literal["likely", "all"]
) -> None:
    """Run the plans of a problem on arrays without memory, with launches that only compile their kernels."""
    prepared = _prepare(problem, options, vector_bits)
    if prepared.rewritten is not None:
        _run_compiling(prepared.rewritten, options, vector_bits, which)
    only_compiles = prepared._replace(only_compiles=which)
    stored = stored_dtype(problem.dtype)
    out = _without_memory(problem.result_shape, stored)
    first, second = (_without_memory(shape, stored) for shape in problem.operand_shapes)
    if problem.primitive == "grad_weight":
        prepared.run(only_compiles, out, first, second)
        return
    weight = _without_memory(prepared.grouped_weight, stored)
    bias = _without_memory(out.shape[1:2], prepared.sums)
    if problem.primitive == "grad_input":
        weight = weight.swapaxes(1, 2)
    prepared.run(only_compiles, out, first, weight, bias)


def _without_memory(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return an array of any size in the memory of one element."""
    return np.broadcast_to(np.empty((), dtype), shape)


def _correlate(source: Array, weight: Array, bias: Array | None, prepared: Prepared) -> Array:
    """Run a forward or grad_input problem; `weight` is (groups, out channels, source channels, R, S)."""
    out = np.empty(prepared.result_shape, source.dtype)
    if bias is not None:
        constants = np.ascontiguousarray(bias, prepared.sums)
    else:
        constants = np.zeros(out.shape[1], prepared.sums) if prepared.zeros is None else prepared.zeros
    stored = out
    if prepared.narrow:
        dtype = prepared.problem.dtype
        stored, source, weight = (as_stored(array, dtype) for array in (out, source, weight))
    if prepared.plan.leaves_pixels:
        out[...] = constants[:, None, None]
    prepared.run(prepared, stored, source, weight, constants)
    return out


#: By the identity of problem and options, which are kept alive here: hashing them would take longer. It is
#: cleared with the cache of plans, so that both together stay within that cache's limit.
_known: dict[tuple[int, int, int], tuple[Prepared, Problem, RunOptions]] = prepared_plans


def _prepared(problem: Problem, options: RunOptions, vector_bits: int) -> Prepared:
    key = (id(problem), id(options), vector_bits)
    known = _known.get(key)
    if known is None:
        if len(_known) >= 1024:
            _known.clear()
        companion.expect(problem, options, vector_bits)
        known = _known[key] = (_prepare(problem, options, vector_bits), problem, options)
    return known[0]


def _prepare(problem: Problem, options: RunOptions, vector_bits: int) -> Prepared:
    plan = make_plan(problem, options, vector_bits)
    algorithm = algorithm_of(problem, plan)
    sums, channels = sum_dtype(problem.dtype), problem.result_shape[1]
    return Prepared(
        problem,
        plan,
        algorithm.run,
        array_types(problem.dtype),
        sums,
        is_narrow_dtype(problem.dtype),
        literals(*plan.tile.literals),
        any(stage.source_in_place for stage in plan.stages),
        threads.ranges_for(problem.macs // max(1, len(plan.stages)), plan.threads),
        {},
        {},
        problem.result_shape,
        (problem.groups, problem.group_channels[1], *problem.weight_shape[1:]),
        np.empty(0, sums),
        _zeros(sums)[:channels] if channels <= MOST_ZEROS else None,
        algorithm.rewrite(problem) if algorithm.rewrite else None,
    )


@functools.cache
def _zeros(sums: Any) -> Array:
    return np.zeros(MOST_ZEROS, sums)
