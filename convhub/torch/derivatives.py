"""Composes derivatives of the three primitives from the three primitives alone.

Each primitive is linear in each operand, and its derivative by one is another primitive applied to the
incoming gradient and the other operand (conjugated for complex tensors, as torch requires):

============================  ===========================  ===========================
primitive                     derivative by the first      derivative by the second
============================  ===========================  ===========================
``forward(x, w)``             ``grad_input(g, w)``         ``grad_weight(g, x)``
``grad_input(dy, w)``         ``forward(g, w)``            ``grad_weight(dy, g)``
``grad_weight(dy, x)``        ``forward(x, g)``            ``grad_input(dy, g)``
============================  ===========================  ===========================

The set is closed, so gradients have gradients, to any order, on every backend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import forward_ad

from ..arrays import channel_sum
from ..dispatch.invoke import Operands
from ..dispatch.request import BackendRequest
from ..problem import Primitive, Problem, with_primitive

__all__ = ["Compute", "following", "gradients", "is_needed", "tangent"]

Tensor = torch.Tensor
#: Computes one primitive, and records its gradients in its own way.
Compute = Callable[[Problem, Operands, BackendRequest], Tensor]
# The derivative's primitive, and a function from the gradient and the other operand to its operands.
Derivative = tuple[Primitive, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]]

_DERIVATIVES: dict[Primitive, tuple[Derivative, Derivative]] = {
    "forward": (
        ("grad_input", lambda grad, weight: (grad, weight)),
        ("grad_weight", lambda grad, x: (grad, x)),
    ),
    "grad_input": (
        ("forward", lambda grad, weight: (grad, weight)),
        ("grad_weight", lambda grad, dy: (dy, grad)),
    ),
    "grad_weight": (
        ("forward", lambda grad, x: (x, grad)),
        ("grad_input", lambda grad, dy: (dy, grad)),
    ),
}


def is_needed(operands: Operands) -> bool:
    """Return whether autograd must record a primitive on these tensors."""
    # Inside forward_ad.dual_level() any tensor may have a tangent.
    if forward_ad._current_level >= 0:
        return True
    return torch.is_grad_enabled() and any(o is not None and o.requires_grad for o in operands)


def following(problem: Problem, operands: Operands) -> tuple[Primitive, ...]:
    """Return the primitives that the backward pass of one will probably need."""
    by_operand = zip(_DERIVATIVES[problem.primitive], operands[:2], strict=True)
    return tuple(primitive for (primitive, _), operand in by_operand if operand.requires_grad)


def gradients(ctx: Any, grad: Tensor, compute: Compute) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Return the gradients for both operands and the bias, None where autograd needs none.

    `ctx` has the `problem`, the `request` for a backend and both operands saved.
    """
    first, second = ctx.saved_tensors
    by_first, by_second = _DERIVATIVES[ctx.problem.primitive]
    needs = ctx.needs_input_grad
    return (
        _derivative(ctx, by_first, grad, second, compute) if needs[0] else None,
        _derivative(ctx, by_second, grad, first, compute) if needs[1] else None,
        channel_sum(grad) if needs[2] else None,
    )


def _derivative(ctx: Any, derivative: Derivative, grad: Tensor, other: Tensor, compute: Compute) -> Tensor:
    primitive, arrange = derivative
    problem = with_primitive(ctx.problem, primitive)
    return compute(problem, _operands(primitive, *arrange(grad, other.conj())), ctx.request)


def _operands(primitive: Primitive, first: Tensor, second: Tensor) -> Operands:
    """Return a primitive's operands without a bias; grad_weight never has one."""
    return (first, second) if primitive == "grad_weight" else (first, second, None)


def tangent(ctx: Any, tangents: tuple[Tensor | None, ...], compute: Compute) -> Tensor:
    """Return the directional derivative along the tangents of both operands and the bias."""
    first, second = ctx.saved_tensors
    first_tangent, second_tangent, bias_tangent = tangents
    total = None
    for one, two in ((first_tangent, second), (first, second_tangent)):
        if one is not None and two is not None:
            part = compute(ctx.problem, _operands(ctx.problem.primitive, one, two), ctx.request)
            total = part if total is None else total + part
    if bias_tangent is not None:
        spread = bias_tangent[None, :, None, None]
        total = spread.expand(ctx.problem.result_shape) if total is None else total + spread
    if total is None:
        raise RuntimeError("autograd asked for a tangent, and no operand has one")
    return total
