"""Makes the two sides of a comparison: the same layer as a call of convhub, and as a call of torch.

Both are called as users call them: convhub by its public functions, which check their arguments, choose the
backend and check its result; torch by ``torch.conv2d``, ``torch.conv_transpose2d`` and
``torch.ops.aten.convolution_backward``, the operator that its autograd calls, with a mask that requests one
gradient. Neither side gets a bias, and neither records anything for autograd.

On a GPU convhub gets arrays of the library that the backend itself works with, and on the CPU NumPy's: the
time is that of the engine, without conversions between libraries. The other side has separate operands with
the same values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from .. import api, arrays
from ..arrays import to_numpy
from ..conformance.calls import caller_library, deliver
from ..conformance.trial import Trial
from ..explanation import explain
from ..problem import Problem
from ..reference.operands import Fill, fill, generator
from .layers import Layer

__all__ = ["TORCH", "Operands", "Side", "make_side", "operands"]

#: The name of torch itself as the other side; as the side under test it is convhub's backend of that name.
TORCH = "torch"


class Operands(NamedTuple):
    """Arrays of the shapes of a problem's input, weight and output; each call takes those it needs."""

    x: Any
    w: Any
    dy: Any


@dataclass(frozen=True, slots=True)
class Side:
    """One side: its name, its call and the library of its arrays; or why there is no call."""

    name: str
    algorithm: str = ""
    call: Callable[[], Any] | None = None
    declined: str = ""
    library: str = "numpy"

    def result(self) -> NDArray[Any]:
        """Call it once, and return its result as a NumPy array."""
        assert self.call is not None
        return to_numpy(self.call())


def operands(problem: Problem) -> Operands:
    """Return random NumPy operands that depend on the problem only: standard normal, or small integers."""
    kind: Fill = "exact" if "int" in problem.dtype else "normal"
    random = generator(problem, 0)
    shapes = (problem.input_shape, problem.weight_shape, problem.output_shape)
    return Operands(*(fill(random, shape, problem.dtype, kind) for shape in shapes))


def make_side(name: str | None, layer: Layer, given: Operands, *, is_other: bool = False) -> Side:
    """Return one side of the comparison.

    Parameters
    ----------
    name : str or None
        A backend of convhub; None lets convhub choose. For the other side, "torch" is torch itself.
    """
    return _torch(layer, given) if is_other and name == TORCH else _convhub(name, layer, given)


# --- convhub ----------------------------------------------------------------------------------------------


def _convhub(name: str | None, layer: Layer, given: Operands) -> Side:
    (part,) = explain(layer.problem, backend=name).parts
    if not part.backend:
        reasons = dict(part.verdicts)
        return Side(name or "", declined=(name and reasons.get(name)) or part.refusal)
    if name not in (None, "auto", part.backend):  # the setting fallback is on
        return Side(name or "", declined=dict(part.verdicts)[name or ""] or "replaced by its fallback")
    library = caller_library(Trial(part.backend, layer.problem))
    call = _convhub_call(layer, Operands(*(deliver(array, library) for array in given)), name)
    return Side(part.backend, part.algorithm, call, library=library)


def _convhub_call(layer: Layer, given: Operands, backend: str | None) -> Callable[[], Any]:
    problem, (x, w, dy) = layer.problem, given
    options: dict[str, Any] = {
        "stride": problem.stride,
        "dilation": problem.dilation,
        "groups": problem.groups,
        "padding": problem.padding,
        "backend": backend,
    }
    if layer.transposed:
        options |= {"padding": _plain_padding(problem), "output_padding": layer.output_padding}
        if problem.primitive == "grad_input":
            return lambda: api.conv_transpose2d(dy, w, **options)
        mask = _mask(layer)
        which = mask.index(True)
        return lambda: api.conv_transpose2d_backward(x, dy, w, **options, output_mask=mask)[which]
    if problem.primitive == "forward":
        return lambda: api.conv2d(x, w, **options)
    mask = _mask(layer)
    which = mask.index(True)
    return lambda: api.conv2d_backward(dy, x, w, **options, output_mask=mask)[which]


def _mask(layer: Layer) -> tuple[bool, bool, bool]:
    """Return the mask of the gradient that the layer's problem is: for input, weight or bias."""
    for_weight = layer.problem.primitive == "grad_weight"
    return (not for_weight, for_weight, False)


def _plain_padding(problem: Problem) -> tuple[int, int]:
    """Return the padding of each axis, which must be equal on both sides."""
    return problem.padding[0][0], problem.padding[1][0]


# --- torch itself -----------------------------------------------------------------------------------------


def _torch(layer: Layer, given: Operands) -> Side:
    problem = layer.problem
    if any(before != after for before, after in problem.padding):
        return Side(TORCH, declined="torch pads both sides alike")
    try:
        call = _torch_call(layer, *(_tensor(array, problem.device) for array in given))
        call()
    except (RuntimeError, TypeError) as error:  # torch lacks a dtype or an operator
        return Side(TORCH, declined=str(error).splitlines()[0])
    return Side(TORCH, call=call, library="torch")


def _tensor(array: NDArray[Any], device: str) -> Any:
    """Return a tensor: on the CPU with the same memory, elsewhere a copy."""
    if device == "cpu":
        convert = arrays.converter("numpy", "torch")
        assert convert is not None
        return convert(array)
    return deliver(array, "torch")


def _torch_call(layer: Layer, x: Any, w: Any, dy: Any) -> Callable[[], Any]:
    import torch

    problem = layer.problem
    stride, padding, dilation = problem.stride, _plain_padding(problem), problem.dilation
    groups, backward = problem.groups, torch.ops.aten.convolution_backward
    extra = layer.output_padding
    if layer.transposed and problem.primitive == "grad_input":
        return lambda: torch.conv_transpose2d(dy, w, None, stride, padding, extra, groups, dilation)
    if not layer.transposed and problem.primitive == "forward":
        return lambda: torch.conv2d(x, w, None, stride, padding, dilation, groups)
    rest = (w, None, stride, padding, dilation, layer.transposed, extra, groups, _mask(layer))
    # The input of one function is the output of the other.
    operands_ = (x, dy) if layer.transposed else (dy, x)
    which = _mask(layer).index(True)
    return lambda: backward(*operands_, *rest)[which]
