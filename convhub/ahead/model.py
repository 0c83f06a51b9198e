"""Finds the problems of a torch model: runs it on tensors without data, and notes its convolutions.

The model runs forward and backward on torch's fake tensors, which have shapes and no memory. Convolutions
of torch are noted, and those of convhub where layers call it already. A gradient that training does not
need, such as that of the network's input, is left out, since torch does not compute it.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from ..errors import ArgumentError, describe_error, short_repr
from ..problem import PRIMITIVES, Pair, Primitive, Problem, with_primitive
from ..torch.operators import OPERATORS, problem_of

__all__ = ["input_shape", "made_model", "problems_of_model"]

_ATEN: Any = torch.ops.aten


def input_shape(text: str) -> tuple[int, ...]:
    """Read a shape such as ``8x3x224x224``.

    Raises
    ------
    ArgumentError
        If it is none.
    """
    if not re.fullmatch(r"[1-9]\d{0,9}(x[1-9]\d{0,9})*", text):
        raise ArgumentError(f"--input is {short_repr(text)}; it must be a shape such as 8x3x224x224")
    return tuple(map(int, text.split("x")))


def made_model(name: str) -> tuple[torch.nn.Module, Any]:
    """Return the model that a factory makes, and its example input, or None where it gives none.

    Parameters
    ----------
    name : str
        ``module:factory``; the module may be in the working directory.

    Raises
    ------
    ArgumentError
        If there is no such function, or it makes no model.
    """
    module, _, factory = name.partition(":")
    if not module or not factory:
        raise ArgumentError(
            f"--model is {short_repr(name)}; it must be module:factory, as in mynet:make_model"
        )
    made = _called(_factory(name, module, factory), name)
    model, example = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(model, torch.nn.Module):
        raise ArgumentError(
            f"--model is {short_repr(name)}, which made {short_repr(made)}; it must return a "
            "torch.nn.Module, or a pair of one and an example of its input"
        )
    return model, example


def _factory(name: str, module: str, factory: str) -> Any:
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
        for part in factory.split("."):
            found = getattr(found, part)
    # The module is the user's code, which may raise anything.
    except Exception as error:
        raise ArgumentError(
            f"--model is {short_repr(name)}, which cannot be imported: {describe_error(error)}"
        ) from error
    return found


def _called(factory: Any, name: str) -> Any:
    if isinstance(factory, torch.nn.Module):
        return factory
    try:
        return factory()
    except Exception as error:
        raise ArgumentError(f"--model is {short_repr(name)}, which raised {describe_error(error)}") from error


def problems_of_model(
    model: torch.nn.Module, example: Any, shape: tuple[int, ...] | None, backward: bool
) -> list[Problem]:
    """Return the problems of one run of a model, each once, in the order in which they occur.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is: neither its numbers nor its gradients change.
    example : object
        The arguments of a call: a tensor, a tuple of arguments, or a dict of named ones.
    shape : tuple of int or None
        The shape of the one tensor to call it with instead, in the dtype of the model's parameters.
    backward : bool
        Whether gradients are run too.

    Raises
    ------
    ArgumentError
        If the model cannot run so, or has no convolution.
    """
    recorder = _Recorder()
    try:
        with FakeTensorMode(allow_non_fake_inputs=True) as fake, recorder, torch.set_grad_enabled(backward):
            _run(model, example, shape, fake)
    # The model is the user's code, and torch's fake tensors refuse what needs numbers.
    except Exception as error:
        raise ArgumentError(
            f"the model cannot run on tensors without data: {describe_error(error)}. Run it with "
            "CONVHUB_VERBOSE=1, and give the log to --from-log"
        ) from error
    if not recorder.found:
        raise ArgumentError("the model ran no 2-D convolution")
    return list(recorder.found)


def _run(model: torch.nn.Module, given: Any, shape: tuple[int, ...] | None, fake: Any) -> None:
    """Run forward, and backward where anything depends on a parameter that is trained."""

    def faked(value: Any) -> Any:
        return fake.from_tensor(value) if isinstance(value, torch.Tensor) else value

    state = {name: faked(value) for name, value in (*model.named_parameters(), *model.named_buffers())}
    if shape is not None:
        dtypes = (each.dtype for each in model.parameters() if each.dtype.is_floating_point)
        given = torch.empty(shape, dtype=next(dtypes, torch.float32))
    given = pytree.tree_map(faked, given)
    args = () if isinstance(given, dict) else tuple(given) if isinstance(given, list) else given
    made = torch.func.functional_call(model, state, args, given if isinstance(given, dict) else None)
    outputs = [leaf for leaf in pytree.tree_leaves(made) if isinstance(leaf, torch.Tensor)]
    outputs = [each for each in outputs if each.requires_grad]
    trained = [each for each in (*state.values(), *pytree.tree_leaves(given)) if _is_trained(each)]
    if outputs and trained:
        torch.autograd.grad(outputs, trained, [torch.ones_like(each) for each in outputs], allow_unused=True)


def _is_trained(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.requires_grad


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the problem of each convolution that torch is about to run."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: dict[Problem, None] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        self.found.update(dict.fromkeys(_problems(function, args, result)))
        return result


def _problems(function: Any, args: tuple[Any, ...], result: Any) -> Iterator[Problem]:
    """Yield the problems that one of torch's functions computes."""
    for primitive in PRIMITIVES:
        if function is OPERATORS[primitive]:
            yield problem_of(primitive, args)
    if function is _ATEN.convolution.default and args[0].dim() == 4:
        tensor, weight, _, *parameters = args
        yield _problem(tensor, weight, result, parameters)
    if function is _ATEN.convolution_backward.default and args[1].dim() == 4:
        gradient, tensor, weight, _, *parameters, mask = args
        problem = _problem(tensor, weight, gradient, parameters)
        of_input: Primitive = "forward" if parameters[3] else "grad_input"
        wanted: tuple[Primitive, ...] = (of_input, "grad_weight")
        yield from (with_primitive(problem, each) for each, asked in zip(wanted, mask, strict=False) if asked)


def _problem(tensor: Any, weight: Any, output: Any, parameters: list[Any]) -> Problem:
    """Return the problem of a convolution of torch's, or of a transposed one."""
    stride, padding, dilation, transposed, _, groups = parameters
    # A transposed convolution is the adjoint of one whose output is its input.
    image, result = (output, tensor) if transposed else (tensor, output)
    down, across = _pair(padding)
    return Problem(
        "grad_input" if transposed else "forward",
        batch=int(image.shape[0]),
        in_channels=int(image.shape[1]),
        out_channels=int(result.shape[1]),
        input_size=_pair(image.shape[2:]),
        kernel_size=_pair(weight.shape[2:]),
        stride=_pair(stride),
        padding=((down, down), (across, across)),
        dilation=_pair(dilation),
        groups=int(groups),
        dtype=str(tensor.dtype).removeprefix("torch."),
        device="cuda" if tensor.device.type == "cuda" else "cpu",
        output_size=_pair(result.shape[2:]),
    )


def _pair(values: Any) -> Pair:
    first, last = int(values[0]), int(values[-1])
    return first, last
