"""Gives torch tensors gradients of any order: one `torch.autograd.Function` for every primitive and backend.

This is the fast path for plain tensors. Calls that torch transforms or records use `convhub.torch.operators`.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

import torch

from ..arrays.tensor_kinds import has_address, is_recorded
from ..dispatch import execute
from ..dispatch.expect import expect
from ..dispatch.invoke import Operands
from ..dispatch.request import BackendRequest
from ..problem import Problem
from .derivatives import Compute, following, gradients, is_needed, tangent

__all__ = ["run"]

Tensor = torch.Tensor


def run(problem: Problem, operands: Operands, request: BackendRequest) -> Tensor:
    """Return the result of one primitive, recorded by autograd where an operand requires it.

    The request for a backend is kept: the backward pass may run in another thread, where
    `convhub.use_backend` is not in force.
    """
    if is_recorded(*operands):
        recorded: Tensor = _operators().call(problem, operands, request)
        return recorded
    if is_needed(operands):
        expect(problem, request, following(problem, operands))
        return _apply(problem, operands, request)
    result: Tensor = execute.execute(problem, operands, request, "torch")
    return result


@functools.cache
def _operators() -> ModuleType:
    """Return the module that registers convhub's operators with torch, which few programs need."""
    from . import operators

    return operators


def _apply(problem: Problem, operands: Operands, request: BackendRequest) -> Tensor:
    first: Any
    second: Any
    first, second, *bias = operands
    apply: Any = _Primitive.apply
    result: Tensor = apply(first, second, bias[0] if bias else None, problem, request)
    return result


class _Primitive(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        # torch would bind named parameters at each call, which costs as much as three tiny convolutions.
        first, second, bias, ctx.problem, ctx.request = inputs
        ctx.save_for_backward(first, second)
        ctx.save_for_forward(first, second)
        operands = (first, second) if ctx.problem.primitive == "grad_weight" else (first, second, bias)
        result: Tensor = execute.execute(ctx.problem, operands, ctx.request, "torch")
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return (*gradients(ctx, grad, _computing(grad)), None, None)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return tangent(ctx, tangents[:3], _computing(*tangents[:3]))


def _computing(*incoming: Tensor | None) -> Compute:
    """Return the function for a derivative of tensors that torch may have batched, or left out as zeros."""
    if all(tensor is None or has_address(tensor) for tensor in incoming):
        return run
    compute: Compute = _operators().call
    return compute
