"""Checks that a backend agrees with torch, an independent implementation of convolution."""

from __future__ import annotations

import importlib.util

import numpy as np

from ...arrays import numpy_dtype
from ...problem import Problem
from ...reference.bounds import bound
from ...reference.operands import operands
from ...reference.oracle import Array, Operands
from ..calls import compute, registered
from ..trial import CheckFailure, Skip, Trial
from .numbers import check_form, right_result

__all__ = ["agrees_with_torch", "torch_result"]


def agrees_with_torch(trial: Trial) -> float:
    """Compare with torch's `conv2d` and autograd in float64; both sides may round."""
    if importlib.util.find_spec("torch") is None:
        raise Skip("torch is not installed")
    problem = trial.problem
    kind = numpy_dtype(problem.dtype).kind
    if problem.dtype in ("float128", "complex256"):
        raise Skip(f"torch has no {problem.dtype}")
    given = operands(problem, trial.seed, "exact" if kind in "iu" else "normal", bias=True)
    result = compute(trial, given)
    theirs = torch_result(problem, given)
    right = right_result(problem, given)
    check_form(trial, result, right.value)
    if kind in "iu":
        limits = np.zeros(result.shape)
        theirs = theirs.astype(np.int64).astype(result.dtype)  # wraps around as the backend must
        difference = (result != theirs).astype(np.float64)
    else:
        accuracy = registered(trial.backend).backend.capabilities.accuracy
        has_bias = given.bias is not None
        wide = problem.replace(dtype="complex128" if kind == "c" else "float64")
        limits = bound(problem, right, accuracy, bias=has_bias) + bound(wide, right, bias=has_bias)
        difference = np.abs(result.astype(theirs.dtype) - theirs)
    wrong = ~(difference <= limits)
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise CheckFailure(
            trial, f"torch gives {theirs[place]} at {place}, and the backend {result[place]}, beyond rounding"
        )
    return float(np.max(difference / np.where(limits > 0, limits, 1), initial=0.0))


def torch_result(problem: Problem, given: Operands) -> Array:
    """Return torch's result of `problem` in float64 or complex128, on the CPU.

    Gradients come from torch's autograd, which conjugates the other operand; a primitive does not.
    """
    import torch
    import torch.nn.functional as F  # noqa: N812 - as everyone calls it

    wide = np.complex128 if given.first.dtype.kind == "c" else np.float64
    first, second = (torch.from_numpy(np.array(o.astype(wide), order="C")) for o in given[:2])
    (top, bottom), (left, right) = problem.padding
    rows, columns = problem.output_size

    def convolve(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        padded = F.pad(x, (left, right, top, bottom))
        y = F.conv2d(padded, w, stride=problem.stride, dilation=problem.dilation, groups=problem.groups)
        return y[:, :, :rows, :columns]

    if problem.primitive == "forward":
        result = convolve(first, second)
    else:
        for_input = problem.primitive == "grad_input"
        known = second.conj().resolve_conj()
        sought = torch.zeros(problem.result_shape, dtype=first.dtype, requires_grad=True)
        y = convolve(sought, known) if for_input else convolve(known, sought)
        (result,) = torch.autograd.grad(y, sought, first)
    values: Array = result.detach().resolve_conj().numpy()
    if given.bias is not None:
        values = values + given.bias.astype(wide)[:, np.newaxis, np.newaxis]
    return values
