"""Gradients of any order for torch tensors, from nothing but the three primitives.

Each primitive is linear in either operand, and its derivative by one is another primitive applied to the
incoming gradient and the other operand (conjugated, as torch wants it for complex tensors):

============================  ===========================  ===========================
primitive                     derivative by the first      derivative by the second
============================  ===========================  ===========================
``forward(x, w)``             ``grad_input(g, w)``         ``grad_weight(g, x)``
``grad_input(dy, w)``         ``forward(g, w)``            ``grad_weight(dy, g)``
``grad_weight(dy, x)``        ``forward(x, g)``            ``grad_input(dy, g)``
============================  ===========================  ===========================

The set is closed, so one `torch.autograd.Function` serves every primitive, backend and order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import forward_ad

from ..arrays import channel_sum
from ..dispatch import Request
from ..problem import Primitive, Problem, with_primitive
from ..run import Operands, execute

__all__ = ["run"]

Tensor = torch.Tensor
# The primitive that is the derivative, and its operands out of the gradient and the other operand.
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


@torch.compiler.disable  # type: ignore[untyped-decorator]
def run(problem: Problem, operands: Operands, wanted: Request) -> Tensor:
    """Return the result of one primitive, recorded by autograd where an operand requires it.

    `torch.compile` does not look inside: what runs there is the business of a backend, not a graph of torch.
    """
    if is_needed(operands):
        return apply(problem, operands, wanted)
    result: Tensor = execute(problem, operands, wanted, "torch")
    return result


def is_needed(operands: Operands) -> bool:
    """Return whether autograd must know of a primitive on these tensors."""
    # Inside forward_ad.dual_level() a tangent may hang on any tensor.
    if forward_ad._current_level >= 0:
        return True
    return torch.is_grad_enabled() and any(o is not None and o.requires_grad for o in operands)


def apply(problem: Problem, operands: Operands, wanted: Request) -> Tensor:
    """Return the result of one primitive, recorded by autograd.

    The backend that was asked for goes along: the backward pass may run in another thread, where
    `convhub.use_backend` is not in force.
    """
    first: Any
    second: Any
    first, second, *bias = operands
    return _apply(first, second, bias[0] if bias else None, problem, wanted)


def _apply(first: Tensor, second: Tensor, bias: Tensor | None, problem: Problem, wanted: Request) -> Tensor:
    result: Tensor = _Primitive.apply(first, second, bias, problem, wanted)  # type: ignore[no-untyped-call]
    return result


class _Primitive(torch.autograd.Function):
    @staticmethod
    def forward(*inputs: Any) -> Tensor:
        # Named parameters would be bound anew by torch at each call, which takes three tiny convolutions.
        first, second, bias, problem, wanted = inputs
        operands = (first, second) if problem.primitive == "grad_weight" else (first, second, bias)
        result: Tensor = execute(problem, operands, wanted, "torch")
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        first, second, _, ctx.problem, ctx.wanted = inputs
        ctx.save_for_backward(first, second)
        ctx.save_for_forward(first, second)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        first, second = ctx.saved_tensors
        by_first, by_second = _DERIVATIVES[ctx.problem.primitive]
        needs = ctx.needs_input_grad
        return (
            _derivative(ctx, by_first, grad, second) if needs[0] else None,
            _derivative(ctx, by_second, grad, first) if needs[1] else None,
            channel_sum(grad) if needs[2] else None,
            None,
            None,
        )

    @staticmethod
    def jvp(ctx: Any, first_tangent: Tensor, second_tangent: Tensor, bias_tangent: Any, *_: Any) -> Tensor:
        first, second = ctx.saved_tensors
        total = None
        for one, two in ((first_tangent, second), (first, second_tangent)):
            if one is not None and two is not None:
                part = _apply(one, two, None, ctx.problem, ctx.wanted)
                total = part if total is None else total + part
        if bias_tangent is not None:
            spread = bias_tangent[None, :, None, None]
            total = spread.expand(ctx.problem.result_shape) if total is None else total + spread
        if total is None:
            raise RuntimeError("autograd asked for a tangent, and no operand has one")
        return total


def _derivative(ctx: Any, derivative: Derivative, grad: Tensor, other: Tensor) -> Tensor:
    primitive, arrange = derivative
    problem = with_primitive(ctx.problem, primitive)
    return _apply(*arrange(grad, other.conj()), None, problem, ctx.wanted)
