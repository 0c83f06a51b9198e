"""Registers the three primitives as torch operators: ``torch.ops.convhub.forward`` and so on.

Ordinary calls do not use them, since torch's dispatcher would cost more than a tiny convolution. They serve
wrapped tensors, and calls that something records: torch's dispatcher unwraps the tensors of its transforms,
records the operator by name, asks it for a shape only (`_shape_only`) where nothing is to be computed, and
calls the backend (`_computed`) once plain tensors are reached.

A derivative calls another of the three, as in `convhub.torch.autograd`, so that transforms nest.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
from torch.autograd import forward_ad

from ..arrays import common_info
from ..dispatch import execute
from ..dispatch.invoke import Operands
from ..dispatch.request import BackendRequest, make_request
from ..errors import ArgumentError, ShapeError
from ..problem import PRIMITIVES, Pair, Primitive, Problem
from .derivatives import gradients, is_needed, tangent

__all__ = ["OPERATORS", "call", "problem_of"]

Tensor = torch.Tensor
_C: Any = torch._C

#: The operands of each primitive, as the operators' arguments are named.
OPERANDS: dict[Primitive, tuple[str, str]] = {
    "forward": ("input", "weight"),
    "grad_input": ("grad_output", "weight"),
    "grad_weight": ("grad_output", "input"),
}
#: The size that does not follow from the operands: of the output, the input, or the kernel.
SIZES: dict[Primitive, str] = {
    "forward": "output_size",
    "grad_input": "input_size",
    "grad_weight": "kernel_size",
}


class Parameters(NamedTuple):
    """The arguments of an operator after its tensors; `padding` is top, bottom, left, right."""

    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int
    size: list[int]
    backend: str | None


def call(problem: Problem, operands: Operands, request: BackendRequest) -> Tensor:
    """Return the result of one primitive, by calling its operator.

    A named backend is passed on; if none is named, the process that runs a recorded graph chooses.
    """
    (top, bottom), (left, right) = problem.padding
    parameters = Parameters(
        list(problem.stride),
        [top, bottom, left, right],
        list(problem.dilation),
        problem.groups,
        list(getattr(problem, SIZES[problem.primitive])),
        request.name,
    )
    tensors = operands[:2] if problem.primitive == "grad_weight" else operands
    result: Tensor = OPERATORS[problem.primitive](*tensors, *parameters)
    return result


# --- kernels for plain tensors, and for tensors without data ----------------------------------------------


def _computed(primitive: Primitive, *arguments: Any) -> Tensor:
    problem, operands, parameters = _checked(primitive, arguments)
    name = parameters.backend
    request = make_request(None) if name is None else BackendRequest(name, "argument")
    result: Tensor = execute.execute(problem, operands, request, "torch")
    return result


def problem_of(primitive: Primitive, arguments: tuple[Any, ...]) -> Problem:
    """Return the problem that an operator computes when it is called with these arguments."""
    return _checked(primitive, arguments)[0]


def _shape_only(primitive: Primitive, *arguments: Any) -> Tensor:
    problem, operands, _ = _checked(primitive, arguments)
    result: Tensor = operands[0].new_empty(problem.result_shape)
    return result


def _checked(primitive: Primitive, arguments: tuple[Any, ...]) -> tuple[Problem, Operands, Parameters]:
    """Return the problem that an operator's arguments describe; these may come from any caller.

    Raises
    ------
    ArgumentError, ArgumentTypeError, MixedArraysError
        If the tensors do not fit each other or the parameters, for instance if a recorded graph is called
        with tensors of other sizes than it was recorded for.
    """
    operands, parameters = _split(primitive, arguments)
    names = (*OPERANDS[primitive], "bias")
    first, second, *bias = common_info(dict(zip(names, operands, strict=False)))
    for name, fact in zip(names, (first, second), strict=False):
        if len(fact.shape) != 4:
            raise ShapeError(f"{name} has shape {fact.shape}; it must have 4 dimensions")
    where = f"of torch.ops.convhub.{primitive} (a recorded graph takes the sizes that it was recorded with)"
    try:
        problem = _problem(primitive, operands[0], operands[1], parameters)
    except ArgumentError as error:
        raise ShapeError(f"{' and '.join(names[:2])} {where}: {error}") from None
    shapes = {
        "input": problem.input_shape,
        "weight": problem.weight_shape,
        "grad_output": problem.output_shape,
        "bias": (problem.result_shape[1],),
    }
    for name, fact in zip(names, (first, second, *bias), strict=False):
        if fact.shape != shapes[name]:
            raise ShapeError(
                f"{name} {where} has shape {fact.shape}; for {problem} it must have shape {shapes[name]}"
            )
    return problem, operands, parameters


def _split(primitive: Primitive, arguments: tuple[Any, ...]) -> tuple[Operands, Parameters]:
    count = 2 if primitive == "grad_weight" else 3
    return arguments[:count], Parameters(*arguments[count:])


def _problem(primitive: Primitive, first: Tensor, second: Tensor, parameters: Parameters) -> Problem:
    """Return the problem that an operator computes, with the sizes of its tensors and parameters."""
    one, other = _ints(first.shape), _ints(second.shape)
    stride, padding, dilation = (_ints(part) for part in parameters[:3])
    size, groups = _pair(_ints(parameters.size)), int(parameters.groups)
    top, bottom, left, right = padding
    if primitive == "forward":
        channels, out, image, kernel, output = one[1], other[0], _pair(one[2:]), _pair(other[2:]), size
    elif primitive == "grad_input":
        channels, out, image, kernel, output = (
            other[1] * groups,
            other[0],
            size,
            _pair(other[2:]),
            _pair(one[2:]),
        )
    else:
        channels, out, image, kernel, output = other[1], one[1], _pair(other[2:]), size, _pair(one[2:])
    dtype, device = str(first.dtype).removeprefix("torch."), first.device.type
    return Problem(
        primitive,
        one[0],
        channels,
        out,
        image,
        kernel,
        _pair(stride),
        ((top, bottom), (left, right)),
        _pair(dilation),
        groups,
        dtype,
        device,
        output,
    )


def _ints(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _pair(values: tuple[int, ...]) -> Pair:
    one, other = values
    return one, other


# --- derivatives, at each level of torch's transforms -------------------------------------------------------


class _Below(NamedTuple):
    """Calls an operator below autograd, with stored arguments besides the tensors."""

    primitive: Primitive
    keyset: Any
    parameters: Parameters

    def __call__(self, operands: Operands) -> Tensor:
        tensors = operands[:2] if self.primitive == "grad_weight" else operands
        with _C._AutoDispatchBelowAutograd():
            result: Tensor = OPERATORS[self.primitive].redispatch(
                self.keyset & _C._after_autograd_keyset, *tensors, *self.parameters
            )
        return result


def _recorded(primitive: Primitive, keyset: Any, *arguments: Any) -> Tensor:
    """Run an operator as autograd's kernel, which each transform level calls on its own tensors."""
    operands, parameters = _split(primitive, arguments)
    below = _Below(primitive, keyset, parameters)
    if not is_needed(operands):
        return below(operands)
    first, second, *bias = operands
    levels = _C._functorch
    before = levels.get_single_level_autograd_function_allowed()
    # The dispatcher has unwrapped the tensors of this level, and calls the levels below when `below` runs.
    levels.set_single_level_autograd_function_allowed(True)
    try:
        apply: Any = super(torch.autograd.Function, _Recorded).apply
        result: Tensor = apply(first, second, bias[0] if bias else None, below)
    finally:
        levels.set_single_level_autograd_function_allowed(before)
    return result


class _Recorded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, bias: Tensor | None, below: _Below) -> Tensor:
        ctx.problem = _problem(below.primitive, first, second, below.parameters)
        ctx.request = BackendRequest(below.parameters.backend, "argument")
        ctx.save_for_backward(first, second)
        ctx.save_for_forward(first, second)
        # A Function turns recording off, but the levels below have not recorded yet.
        with torch.enable_grad(), forward_ad._set_fwd_grad_enabled(True):
            return below((first, second, bias))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return (*gradients(ctx, grad, call), None)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return tangent(ctx, tangents[:3], call)


# --- torch.func.vmap --------------------------------------------------------------------------------------


def _batched(primitive: Primitive, info: Any, axes: tuple[Any, ...], *arguments: Any) -> tuple[Tensor, int]:
    """Run an operator on tensors of which some have an additional axis, as one call on larger tensors.

    If only the images have it, it becomes part of the batch; else a factor of channels and groups.
    """
    operands, parameters = _split(primitive, arguments)
    count = info.batch_size
    moved = [
        operand if axis is None or operand is None else operand.movedim(axis, 0)
        for operand, axis in zip(operands, axes, strict=False)
    ]
    if primitive != "grad_weight" and all(axis is None for axis in axes[1 : len(operands)]):
        images, *others = moved
        result = OPERATORS[primitive](images.flatten(0, 1), *others, *parameters)
        return result.unflatten(0, (count, images.shape[1])), 0
    spread = [
        operand.expand(count, *operand.shape) if axis is None and operand is not None else operand
        for operand, axis in zip(moved, axes, strict=False)
    ]
    names = (*OPERANDS[primitive], "bias")
    joined = [
        None
        if operand is None
        else operand.flatten(0, 1)
        if name in ("weight", "bias")
        else operand.transpose(0, 1).flatten(1, 2)
        for name, operand in zip(names, spread, strict=False)
    ]
    result = OPERATORS[primitive](*joined, *parameters._replace(groups=parameters.groups * count))
    if primitive == "grad_weight":
        return result.unflatten(0, (count, result.shape[0] // count)), 0
    return result.unflatten(1, (count, result.shape[1] // count)), 1


# --- registration -----------------------------------------------------------------------------------------

_library: Any = torch.library  # its classes have no types
_LIBRARY: Any = _library.Library("convhub", "FRAGMENT")


def _register(primitive: Primitive) -> Any:
    """Define one operator with everything that torch may require of it, and return it."""
    tensors = ", ".join(f"Tensor {name}" for name in OPERANDS[primitive])
    bias = "" if primitive == "grad_weight" else "Tensor? bias, "
    _LIBRARY.define(
        f"{primitive}({tensors}, {bias}int[] stride, int[] padding, int[] dilation, int groups, "
        f"SymInt[] {SIZES[primitive]}, str? backend) -> Tensor",
        tags=(torch.Tag.pt2_compliant_tag,),
    )
    name = f"convhub::{primitive}"
    _LIBRARY.impl(primitive, functools.partial(_computed, primitive), "CompositeExplicitAutograd")
    _LIBRARY.impl(primitive, functools.partial(_recorded, primitive), "Autograd", with_keyset=True)
    torch.library.register_fake(name, functools.partial(_shape_only, primitive), lib=_LIBRARY)
    torch.library.register_vmap(name, functools.partial(_batched, primitive), lib=_LIBRARY)
    return getattr(torch.ops.convhub, primitive).default


#: The three operators.
OPERATORS: dict[Primitive, Any] = {primitive: _register(primitive) for primitive in PRIMITIVES}
