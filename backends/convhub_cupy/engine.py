"""Runs the three primitives, each with the first algorithm that takes the problem."""

from __future__ import annotations

from typing import Any

from convhub.backend import Accuracy, Array, Problem, RunOptions

from .launch import Call
from .plan.plan import Settings
from .planner import describe, make_plan
from .runtime.cupy_runtime import Runtime

__all__ = ["accuracy", "described", "forward", "grad_input", "grad_weight", "workspace_bytes"]


def described(problem: Problem, options: RunOptions, capability: tuple[int, int]) -> str:
    """Describe what runs a problem on a device of some compute capability, for `explain`."""
    return describe(*make_plan(problem, Settings.of(options, capability)))


def accuracy(problem: Problem, options: RunOptions, capability: tuple[int, int]) -> Accuracy:
    """Return the accuracy class of the algorithm that runs a problem on such a device."""
    algorithm, _ = make_plan(problem, Settings.of(options, capability))
    return algorithm.accuracy


def workspace_bytes(problem: Problem, options: RunOptions, runtime: Runtime) -> int:
    """Return how much memory a problem takes beyond its arrays."""
    _, plan = make_plan(problem, Settings.of(options, runtime.capability))
    return plan.workspace_bytes


def forward(
    x: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions, runtime: Runtime
) -> Array:
    """Return ``y`` of shape (N, K, P, Q)."""
    return _run((x, w, bias), problem, options, runtime)


def grad_input(
    dy: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions, runtime: Runtime
) -> Array:
    """Return ``dx`` of shape (N, C, H, W)."""
    return _run((dy, w, bias), problem, options, runtime)


def grad_weight(dy: Array, x: Array, problem: Problem, options: RunOptions, runtime: Runtime) -> Array:
    """Return ``dw`` of shape (K, C / groups, R, S)."""
    return _run((dy, x), problem, options, runtime)


def _run(operands: tuple[Any, ...], problem: Problem, options: RunOptions, runtime: Runtime) -> Array:
    algorithm, plan = make_plan(problem, Settings.of(options, runtime.capability))
    result = runtime.xp.empty(problem.result_shape, operands[0].dtype)
    algorithm.run(plan, Call(problem, operands, result, runtime))
    return result
