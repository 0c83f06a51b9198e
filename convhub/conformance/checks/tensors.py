"""Checks that results in torch are plain tensors, from which autograd can go on."""

from __future__ import annotations

from typing import Any

from ...arrays import to_numpy
from ...dispatch.execute import execute
from ...dispatch.request import BackendRequest
from ...reference.operands import operands
from ...reference.oracle import Operands
from ..calls import tensor, with_more_images
from ..trial import CheckFailure, Skip, Trial
from .public import NOT_OF_TORCH
from .sizes import judge_integers

__all__ = ["plain_tensors"]

#: How many images more make a problem that no other check computes.
MORE_IMAGES = 4


def plain_tensors(trial: Trial) -> float:
    """Check results of torch tensors: in no graph, not made in inference mode, free for the caller to use.

    Calls come in every mode that a caller may have: with gradients, without, and in inference mode; and what
    was kept from one must not disturb the next.
    """
    try:
        import torch
    except ImportError as error:
        raise Skip("torch is not installed") from error
    if trial.problem.dtype in NOT_OF_TORCH:
        raise Skip(f"torch has no {trial.problem.dtype}, or little of it")
    # A problem that no other check computes, so that what a backend keeps of it is made in inference mode.
    other = with_more_images(trial, MORE_IMAGES)
    modes = {
        "in inference mode": torch.inference_mode,
        "with gradients": torch.enable_grad,
        "without gradients": torch.no_grad,
    }
    ratio = 0.0
    for one in (other, trial) if other is not None else (trial,):
        given = operands(one.problem, trial.seed, "exact", bias=True)
        for what, mode in modes.items():
            with mode():
                result = _call(one, given)
            if what != "in inference mode":
                _check_plain(one, result, what)
                _check_usable(one, result, what)
            ratio = max(ratio, judge_integers(one, to_numpy(result.detach()), given, f"called {what}"))
    return ratio


def _call(trial: Trial, given: Operands) -> Any:
    problem = trial.problem
    tensors = [None if array is None else tensor(array, problem.device) for array in given]
    if problem.primitive == "grad_weight":
        tensors = tensors[:2]
    return execute(problem, tuple(tensors), BackendRequest(trial.backend, "argument"), "torch")


def _check_plain(trial: Trial, result: Any, what: str) -> None:
    import torch

    wrong = {
        f"of the type {type(result).__name__}": type(result) is not torch.Tensor,
        "made in inference mode": result.is_inference(),
        "requiring a gradient": result.requires_grad,
        "part of a graph": result.grad_fn is not None or not result.is_leaf,
        "not strided": result.layout != torch.strided,
    }
    for fault, found in wrong.items():
        if found:
            raise CheckFailure(trial, f"called {what}, the result is {fault}; it must be a plain tensor")


def _check_usable(trial: Trial, result: Any, what: str) -> None:
    """Differentiate what a caller makes of a result: a product, a sum in place, the result as a leaf."""
    import torch

    if not (result.is_floating_point() or result.is_complex()) or not result.numel():
        return
    factor = torch.ones((), dtype=result.dtype, device=result.device, requires_grad=True)
    try:
        (result * factor).sum().abs().backward()
        result.clone().add_(factor).sum().abs().backward()
        leaf = result.detach().requires_grad_()
        (leaf * factor).sum().abs().backward()
    except RuntimeError as error:
        raise CheckFailure(trial, f"called {what}, autograd cannot go on from the result: {error}") from error
