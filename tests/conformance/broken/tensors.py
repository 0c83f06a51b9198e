"""Faults of torch's tensors: results that autograd cannot use, or that are more than a tensor."""

from __future__ import annotations

import sys

from convhub.backend import Capabilities

from .faults import fault

FOUND_BY = "plain tensors"
IN_TORCH = Capabilities(
    dtypes=("float16", "bfloat16", "float32", "float64", "complex64", "complex128"), arrays="torch"
)


def _torch():
    return sys.modules["torch"]


@fault(FOUND_BY, capabilities=IN_TORCH)
def made_in_inference_mode(right, first, second, bias, problem, options):
    """Computes in inference mode, so that autograd refuses the result."""
    with _torch().inference_mode():
        return right(first, second, bias, problem, options).clone()


@fault(FOUND_BY, remembers=True, capabilities=IN_TORCH)
def scratch_made_in_inference_mode():
    """Keeps scratch memory between calls: made in inference mode, torch refuses to write to it later."""
    kept = {}

    def run(right, first, second, bias, problem, options):
        if problem not in kept:
            kept[problem] = _torch().zeros(problem.result_shape, dtype=first.dtype)
        kept[problem].copy_(right(first, second, bias, problem, options))
        return kept[problem].detach().clone()

    return run


@fault(FOUND_BY, capabilities=IN_TORCH)
def gradients_needed(right, first, second, bias, problem, options):
    """Fails only where the caller has gradients off: asks autograd for a gradient of its own."""
    torch = _torch()
    one = torch.ones((), dtype=first.dtype, requires_grad=not torch.is_inference_mode_enabled())
    result = right(first, second, bias, problem, options)
    if not one.requires_grad:
        return result
    (gradient,) = torch.autograd.grad((result * one).abs().sum(), one)
    return result + 0 * gradient.abs().nan_to_num()
