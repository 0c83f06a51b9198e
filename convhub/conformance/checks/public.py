"""Checks convhub's public functions on a backend, for NumPy arrays and for torch tensors."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import api
from ...arrays import conjugate, to_numpy
from ...errors import ArgumentError
from ...problem import PRIMITIVES, Problem, transposed_output_size, with_primitive
from ...reference.bounds import bound, worst
from ...reference.operands import operands
from ...reference.oracle import Array, Exact, Operands
from ..calls import caller_library, deliver, refused, tensor
from ..trial import CheckFailure, Skip, Trial
from .numbers import judge

__all__ = ["output_padding", "public_functions", "torch_tensors"]

#: Types that torch does not have, or cannot take from NumPy.
NOT_OF_TORCH = ("float128", "complex256", "uint16", "uint32", "uint64")


def public_functions(trial: Trial) -> float:
    """Check `conv2d`, `conv_transpose2d` and their gradients, batched or not, with random `grad_output`."""
    library = caller_library(trial)
    return _both_convolutions(trial, lambda array: deliver(array, library))


def torch_tensors(trial: Trial) -> float:
    """Check the same functions for torch tensors, and through autograd, with random `grad_output`."""
    if importlib.util.find_spec("torch") is None:
        raise Skip("torch is not installed")
    if trial.problem.dtype in NOT_OF_TORCH:
        raise Skip(f"torch has no {trial.problem.dtype}, or little of it")

    def to_torch(array: Array) -> Any:
        return tensor(array) if trial.problem.device == "cpu" else deliver(array, "torch")

    def to_strided(array: Array) -> Any:
        """Lay out as every second element along the last axis of a larger tensor; the others are NaN."""
        contiguous = to_torch(array)
        larger = contiguous.repeat_interleave(2, -1)
        if contiguous.is_floating_point() or contiguous.is_complex():
            larger[..., 1::2] = math.nan
        return larger[..., ::2]

    ratio = max(_both_convolutions(trial, to_torch), _both_convolutions(trial, to_strided))
    if trial.problem.dtype.startswith(("float", "bfloat", "complex")):
        ratio = max(ratio, _autograd(trial, to_torch))
    return ratio


def _both_convolutions(trial: Trial, to_library: Callable[[Array], Any]) -> float:
    ratio, tried = 0.0, False
    if trial.problem.output_size == trial.problem.full_output_size:
        ratio, tried = _conv2d(trial, to_library), True
    try:
        output_padding(trial.problem)
    except ArgumentError as error:
        if not tried:
            raise Skip("no public function has this problem; only gradients of them do") from error
        return ratio
    return max(ratio, _conv_transpose2d(trial, to_library))


def output_padding(problem: Problem) -> tuple[int, int]:
    """Return the `output_padding` with which `conv_transpose2d` turns the output size into the input size.

    Raises
    ------
    ArgumentError
        If no such `output_padding` exists.
    """
    if any(before != after for before, after in problem.padding):
        raise ArgumentError("conv_transpose2d takes equal padding on both sides only")
    needed = tuple(
        problem.input_size[i]
        - transposed_output_size(
            problem.output_size[i],
            problem.kernel_size[i],
            problem.stride[i],
            problem.padding[i][0],
            0,
            problem.dilation[i],
        )
        for i in (0, 1)
    )
    if any(not 0 <= needed[i] < max(problem.stride[i], problem.dilation[i]) for i in (0, 1)):
        raise ArgumentError(
            f"conv_transpose2d would need output_padding {needed}, beyond stride and dilation"
        )
    return (needed[0], needed[1])


def _conv2d(trial: Trial, to_library: Callable[[Array], Any]) -> float:
    """Run the one of `conv2d` and its gradients that uses the trial's primitive."""
    problem = trial.problem
    given = operands(problem, trial.seed, bias=True)
    first, second = to_library(given.first), to_library(given.second)
    bias = None if given.bias is None else to_library(given.bias)
    parameters = _conv2d_parameters(trial)
    if problem.primitive == "forward":
        result = api.conv2d(first, second, bias, **parameters)
        ratio = judge(trial, to_numpy(result), given, "conv2d")
        if problem.batch == 1:
            result = api.conv2d(first[0], second, bias, **parameters)
            ratio = max(ratio, judge(trial, to_numpy(result)[None], given, "conv2d without a batch"))
        return ratio
    if problem.primitive == "grad_input":
        image = to_library(_others(trial).first)
        grads = api.conv2d_backward(first, image, second, output_mask=(True, False, False), **parameters)
        _check_mask(trial, grads, (True, False, False))
        conjugated = Operands(given.first, conjugate(given.second))
        return judge(trial, to_numpy(grads.input), conjugated, "conv2d_backward, for the input")
    weight = to_library(_others(trial).second)
    grads = api.conv2d_backward(first, second, weight, output_mask=(False, True, True), **parameters)
    _check_mask(trial, grads, (False, True, True))
    conjugated = Operands(given.first, conjugate(given.second))
    ratio = judge(trial, to_numpy(grads.weight), conjugated, "conv2d_backward, for the weight")
    return max(ratio, _judge_bias(trial, to_numpy(grads.bias), given.first))


def _conv_transpose2d(trial: Trial, to_library: Callable[[Array], Any]) -> float:
    """Run the one of `conv_transpose2d` and its gradients that uses the trial's primitive."""
    problem = trial.problem
    given = operands(problem, trial.seed, bias=True)
    first, second = to_library(given.first), to_library(given.second)
    bias = None if given.bias is None else to_library(given.bias)
    parameters = _conv_transpose2d_parameters(trial)
    if problem.primitive == "grad_input":
        result = api.conv_transpose2d(first, second, bias, **parameters)
        ratio = judge(trial, to_numpy(result), given, "conv_transpose2d")
        if problem.batch == 1:
            result = api.conv_transpose2d(first[0], second, bias, **parameters)
            ratio = max(
                ratio, judge(trial, to_numpy(result)[None], given, "conv_transpose2d without a batch")
            )
        return ratio
    if problem.primitive == "forward":
        pixels = to_library(operands(with_primitive(problem, "grad_input"), trial.seed).first)
        mask = (True, False, False)
        grads = api.conv_transpose2d_backward(first, pixels, second, output_mask=mask, **parameters)
        _check_mask(trial, grads, mask)
        conjugated = Operands(given.first, conjugate(given.second))
        return judge(trial, to_numpy(grads.input), conjugated, "conv_transpose2d_backward, for the input")
    # Its input has the shape of the convolution's output, its grad_output that of the convolution's input.
    weight, mask = to_library(_others(trial).second), (False, True, True)
    grads = api.conv_transpose2d_backward(second, first, weight, output_mask=mask, **parameters)
    _check_mask(trial, grads, mask)
    conjugated = Operands(conjugate(given.first), given.second)
    ratio = judge(trial, to_numpy(grads.weight), conjugated, "conv_transpose2d_backward, for the weight")
    return max(ratio, _judge_bias(trial, to_numpy(grads.bias), given.second))


def _conv2d_parameters(trial: Trial) -> dict[str, Any]:
    problem = trial.problem
    return {
        "stride": problem.stride,
        "padding": problem.padding,
        "dilation": problem.dilation,
        "groups": problem.groups,
        "backend": trial.backend,
    }


def _conv_transpose2d_parameters(trial: Trial) -> dict[str, Any]:
    problem = trial.problem
    return {
        "stride": problem.stride,
        "padding": (problem.padding[0][0], problem.padding[1][0]),
        "output_padding": output_padding(problem),
        "dilation": problem.dilation,
        "groups": problem.groups,
        "backend": trial.backend,
    }


def _others(trial: Trial) -> Operands:
    """Return an input and a weight, for functions that take them without using their values."""
    return operands(with_primitive(trial.problem, "forward"), trial.seed)


def _check_mask(trial: Trial, grads: api.Gradients[Any], mask: tuple[bool, ...]) -> None:
    if tuple(grad is not None for grad in grads) != mask:
        raise CheckFailure(trial, f"output_mask={mask} gave {[type(grad).__name__ for grad in grads]}")


def _judge_bias(trial: Trial, result: Array, grad_output: Array) -> float:
    """Compare the gradient of a bias with the sum over batch and space."""
    problem, dtype = trial.problem, grad_output.dtype
    if dtype.itemsize > (16 if dtype.kind == "c" else 8):
        return 0.0  # `math.fsum` knows float64 only
    channels = [grad_output[:, channel].ravel() for channel in range(grad_output.shape[1])]
    value: Array
    if dtype.kind in "iu":
        value = np.array([channel.sum(dtype=dtype) for channel in channels], dtype)
    elif dtype.kind == "c":
        value = np.array([complex(_fsum(c.real), _fsum(c.imag)) for c in channels])
    else:
        value = np.array([_fsum(channel) for channel in channels])
    magnitude = np.array([0.0 if dtype.kind in "iu" else _fsum(np.abs(channel)) for channel in channels])
    right = Exact(value, np.zeros_like(value), magnitude)
    # A sum over all positions is the gradient of a weight for an image of ones.
    rows, columns = grad_output.shape[2:]
    summed = Problem("grad_weight", problem.batch, 1, 1, (rows, columns), (1, 1), dtype=problem.dtype)
    found = worst(result, right, bound(summed, right))
    if not found.ratio <= 1:
        raise CheckFailure(
            trial, f"the gradient of the bias at {found.place} errs by {found.ratio:.3g} times its bound"
        )
    return found.ratio


def _fsum(array: Array) -> float:
    return math.fsum(array.astype(np.float64).tolist())


# --- autograd ---------------------------------------------------------------------------------------------


def _autograd(trial: Trial, to_torch: Callable[[Array], Any]) -> float:
    """Differentiate the trial's convolution or transposed convolution by autograd."""
    problem = trial.problem
    primitives = (with_primitive(problem, primitive) for primitive in PRIMITIVES)
    if any(refused(trial.backend, one) is not None for one in primitives):
        return 0.0  # autograd needs all primitives of this backend
    transposed = problem.primitive == "grad_input"
    one = problem if transposed else with_primitive(problem, "forward")
    try:
        parameters = _conv_transpose2d_parameters(trial) if transposed else _conv2d_parameters(trial)
    except ArgumentError:
        return 0.0  # The result was judged above.
    if not transposed and problem.output_size != problem.full_output_size:
        return 0.0
    given = operands(one, trial.seed, bias=True)
    first, second, bias = (to_torch(o).requires_grad_() for o in given if o is not None)
    function = api.conv_transpose2d if transposed else api.conv2d
    result = function(first, second, bias, **parameters)
    back = with_primitive(problem, "forward" if transposed else "grad_input")
    grad_output = operands(back, trial.seed).first
    result.backward(to_torch(grad_output))

    what = f"autograd of {function.__name__}, for the "
    ratio = judge(trial._replace(problem=one), to_numpy(result), given, what + "value")
    conjugated = Operands(grad_output, conjugate(given.second))
    ratio = max(ratio, judge(trial._replace(problem=back), to_numpy(first.grad), conjugated, what + "input"))
    weight_trial = trial._replace(problem=with_primitive(problem, "grad_weight"))
    pair = (
        Operands(conjugate(given.first), grad_output)
        if transposed
        else Operands(grad_output, conjugate(given.first))
    )
    ratio = max(ratio, judge(weight_trial, to_numpy(second.grad), pair, what + "weight"))
    return max(ratio, _judge_bias(trial, to_numpy(bias.grad), grad_output))
