"""Chooses the algorithm that runs a problem, its blocks and its threads. Plans are cached.

The first of `ALGORITHMS` that suits a problem runs it, for as many threads as its scratch memory fits the
workspace limit for; where it does not fit for one, `direct` runs, which has none.

The blocks of terms, which decide the bits of a result, depend on the problem, on the vector's length and on
the algorithm; threads only move the tiles of outputs. The workspace limit does not affect the bits as long as
the plan for one thread fits (`Plan.scratch_bytes`, which ``CONVHUB_THREADS=1 convhub explain PROBLEM``
shows). Below that it may choose another algorithm, whose sums are blocked differently.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from convhub.backend import Problem, RunOptions, bounded_cache

from .algorithm import Algorithm, Machine
from .algorithms import (
    channelwise,
    direct,
    dot,
    gemm,
    implicit_gemm,
    indirect,
    phases,
    pointwise,
    stem,
    winograd,
)
from .algorithms.direct.launch import make_plan as make_direct_plan
from .options import Options
from .runtime.threads import usable_threads
from .stage import Plan, Tile
from .vectors.emitter import host_vector_bits
from .vectors.half import sum_dtype

__all__ = ["ALGORITHMS", "algorithm_of", "make_plan", "prepared_plans"]

#: The first that suits a problem runs it. `gemm` suits any without too many phases, and `direct` suits all.
ALGORITHMS: tuple[Algorithm, ...] = (
    winograd.correlation,
    winograd.weight_gradient,
    channelwise.depthwise_correlation,
    channelwise.depthwise_weight_gradient,
    channelwise.grouped_correlation,
    channelwise.grouped_weight_gradient,
    dot.weight_gradient,
    phases.correlation,
    stem.correlation,
    stem.weight_gradient,
    pointwise.weight_gradient,
    implicit_gemm.correlation,
    implicit_gemm.weight_gradient,
    indirect.correlation,
    gemm.correlation,
    gemm.weight_gradient,
    direct.correlation,
    direct.weight_gradient,
)

#: Below about 20 µs on one core, waking a thread costs more than it saves.
SMALL_WORK = 1_000_000
MANY_THREADS = 64  # with these, tiles are the smallest
MACS_PER_ELEMENT = 8  # moving an element through memory takes about as long as this many multiply-adds

#: The plans that the engine has prepared, found by identity; cleared with the cache of plans.
prepared_plans: dict[Any, Any] = {}


@bounded_cache(clear=prepared_plans.clear)
def make_plan(problem: Problem, options: RunOptions, vector_bits: int = 0) -> Plan:
    """Return the plan for a problem; `vector_bits` 0 means this machine's own vectors."""
    engine_options = options.backend or Options()
    bits = vector_bits or engine_options.vector_bits or host_vector_bits()
    item = sum_dtype(problem.dtype).itemsize
    tile = Tile(8 if bits == 512 else 4, 3, bits // 8 // item, item)
    machine = Machine(tile, options, engine_options)
    allowed, work = usable_threads(options.threads), _work(problem)
    for algorithm in ALGORITHMS:
        if problem.primitive in algorithm.primitives:
            threads = 1 if work < SMALL_WORK * algorithm.saving else allowed
            plan = algorithm.plan(problem, machine, threads)
            if plan is not None:
                fitted = _fitted(plan, algorithm, problem, machine)
                return fitted or make_direct_plan(problem, machine, allowed)
    raise AssertionError(f"no algorithm suits {problem}; the last must suit every problem")


def algorithm_of(problem: Problem, plan: Plan) -> Algorithm:
    """Return the algorithm that made a plan."""
    return next(a for a in ALGORITHMS if a.name == plan.algorithm and problem.primitive in a.primitives)


def _work(problem: Problem) -> int:
    """Estimate the work, in multiply-adds."""
    elements = math.prod(problem.input_shape) + math.prod(problem.output_shape)
    return problem.macs + MACS_PER_ELEMENT * elements


def _fitted(plan: Plan, algorithm: Algorithm, problem: Problem, machine: Machine) -> Plan | None:
    """Return the plan, or the one for the most threads that keeps the workspace limit; or None."""
    limit = machine.options.workspace_limit
    for threads in range(plan.threads - 1, 0, -1):
        if plan.scratch_bytes <= limit:
            return plan
        plan = _planned(algorithm, problem, machine, threads)
    if plan.scratch_bytes <= limit:
        return plan
    smallest = replace(_planned(algorithm, problem, machine, MANY_THREADS), threads=1)
    return smallest if smallest.scratch_bytes <= limit else None


def _planned(algorithm: Algorithm, problem: Problem, machine: Machine, threads: int) -> Plan:
    plan = algorithm.plan(problem, machine, threads)
    assert plan is not None, "whether an algorithm suits a problem does not depend on the threads"
    return plan
