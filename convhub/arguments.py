"""Turns the arguments of a call into a `Problem`, and refuses invalid ones before any backend is asked.

`convhub.parameters` first brings every parameter into one form; then everything that depends on sizes is
computed and checked once per combination, and remembered. A whole call whose parameters are plain numbers and
texts is remembered too: the next one with equal arrays is not checked again.
"""

from __future__ import annotations

import functools
import operator
from typing import Any, NamedTuple

from .arrays import Array, ArrayInfo, common_info, describe, fingerprint
from .errors import ArgumentError, ArgumentTypeError, ShapeError
from .parameters import Sides, group_count, padding_sides, pair, symmetric_padding
from .problem import Pair, Problem, transposed_output_size

__all__ = ["Call", "check_grad_output", "conv2d_call", "conv_transpose2d_call"]

Shape = tuple[int, ...]


class Call(NamedTuple):
    """A checked call: its problem, and whether the arrays come without a batch axis."""

    problem: Problem
    unbatched: bool


def conv2d_call(
    arrays: dict[str, Array | None],
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
) -> tuple[Call, ArrayInfo]:
    """Return the checked call of a convolution, and the description of its input.

    Parameters
    ----------
    arrays : dict
        ``input``, ``weight``, and ``bias`` or ``grad_output`` or neither, in this order.
    """
    key = _key("conv2d", arrays, (stride, padding, dilation, groups))
    known = _known.get(key)
    if known is not None:
        return known
    input_info, weight_info, *others = _infos(arrays)
    call = _conv2d(
        input_info.shape,
        weight_info.shape,
        others[0].shape if others and arrays.get("bias") is not None else None,
        pair("stride", stride, 1),
        padding_sides(padding),
        pair("dilation", dilation, 1),
        group_count(groups),
        input_info.dtype,
        input_info.device.partition(":")[0],
    )
    return _remembered(key, call, input_info)


def conv_transpose2d_call(
    arrays: dict[str, Array | None],
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
) -> tuple[Call, ArrayInfo]:
    """Return the checked call of a transposed convolution, and the description of its input."""
    key = _key("conv_transpose2d", arrays, (stride, padding, output_padding, groups, dilation))
    known = _known.get(key)
    if known is not None:
        return known
    input_info, weight_info, *others = _infos(arrays)
    call = _conv_transpose2d(
        input_info.shape,
        weight_info.shape,
        others[0].shape if others and arrays.get("bias") is not None else None,
        pair("stride", stride, 1),
        symmetric_padding(padding),
        pair("output_padding", output_padding, 0),
        group_count(groups),
        pair("dilation", dilation, 1),
        input_info.dtype,
        input_info.device.partition(":")[0],
    )
    return _remembered(key, call, input_info)


_known: dict[tuple[Any, ...] | None, tuple[Call, ArrayInfo]] = {}


def _key(name: str, arrays: dict[str, Array | None], parameters: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Return the key under which a checked call is remembered, or None if it cannot be remembered."""
    kinds = []
    for array in arrays.values():
        kind = None if array is None else fingerprint(array)
        if kind is None and array is not None:
            return None
        kinds.append(kind)
    for value in parameters:
        if type(value) is not int:
            parameters = tuple(map(_written, parameters))
            if None in parameters:
                return None
            break
    return (name, *arrays, *kinds, *parameters)


def _written(value: Any, depth: int = 0) -> Any:
    """Return a parameter as part of a key, with lists as tuples; None if it has a True or 1.0."""
    kind = type(value)
    if kind is int or kind is str:
        return value
    # No valid value is longer or deeper than ((1, 2), (3, 4)), and a list that contains itself has no end.
    if (kind is tuple or kind is list) and len(value) <= 2 and depth < 2:
        parts = tuple([_written(part, depth + 1) for part in value])
        return None if None in parts else parts
    return None


def _remembered(key: tuple[Any, ...] | None, call: Call, info: ArrayInfo) -> tuple[Call, ArrayInfo]:
    if key is not None:
        if len(_known) >= 4096:  # each entry is small, but the number of shapes has no limit
            _known.clear()
        _known[key] = (call, info)
    return call, info


def _infos(arrays: dict[str, Array | None]) -> tuple[ArrayInfo, ...]:
    for name, array in arrays.items():
        if array is None and name != "bias":
            raise ArgumentTypeError(f"{name} is None; it must be an array of NumPy, torch or CuPy")
    return common_info(arrays)


def check_grad_output(grad_output: Array, shape: Shape, unbatched: bool) -> None:
    """Refuse a gradient whose shape is not that of the result."""
    wanted = shape[1:] if unbatched else shape
    if tuple(grad_output.shape) != wanted:
        raise ShapeError(
            f"grad_output is {describe(grad_output)}; it must have the shape of the output, {wanted}"
        )


@functools.lru_cache(maxsize=4096)
def _conv2d(
    input_shape: Shape,
    weight_shape: Shape,
    bias_shape: Shape | None,
    stride: Pair,
    padding: Sides | str,
    dilation: Pair,
    groups: int,
    dtype: str,
    device: str,
) -> Call:
    batch, in_channels, height, width = _check_ranks(input_shape, weight_shape, ("output", "input"))
    out_channels, group_channels, *kernel = weight_shape
    if in_channels % groups:
        raise ShapeError(
            f"input of shape {input_shape} has {in_channels} channels; they must be a multiple of "
            f"groups, which is {groups}"
        )
    if group_channels != in_channels // groups:
        each = "" if groups == 1 else " for each group"
        raise ShapeError(
            f"weight of shape {weight_shape} has {group_channels} input channels{each}, input of shape "
            f"{input_shape} has {in_channels // groups}{each}; dimension 1 of weight must be "
            f"{in_channels // groups}"
        )
    if out_channels % groups:
        raise ShapeError(
            f"weight of shape {weight_shape} has {out_channels} output channels; they must be a multiple of "
            f"groups, which is {groups}"
        )
    _check_bias(bias_shape, out_channels, weight_shape)
    if isinstance(padding, str):  # 'same', since 'valid' has been replaced by zeros
        if stride != (1, 1):
            raise ArgumentError(f"padding is 'same' with stride {stride}; 'same' needs a stride of 1")
        padding = (_same_sides(kernel[0], dilation[0]), _same_sides(kernel[1], dilation[1]))
    problem = Problem(
        "forward",
        batch,
        in_channels,
        out_channels,
        (height, width),
        (kernel[0], kernel[1]),
        stride,
        padding,
        dilation,
        groups,
        dtype,
        device,
    )
    _check_result_size(problem.output_shape)
    return Call(problem, len(input_shape) == 3)


@functools.lru_cache(maxsize=4096)
def _conv_transpose2d(
    input_shape: Shape,
    weight_shape: Shape,
    bias_shape: Shape | None,
    stride: Pair,
    padding: Pair,
    output_padding: Pair,
    groups: int,
    dilation: Pair,
    dtype: str,
    device: str,
) -> Call:
    batch, in_channels, height, width = _check_ranks(input_shape, weight_shape, ("input", "output"))
    weight_channels, group_channels, *kernel = weight_shape
    if weight_channels != in_channels:
        raise ShapeError(
            f"weight of shape {weight_shape} has {weight_channels} input channels, input of shape "
            f"{input_shape} has {in_channels}; dimension 0 of weight must be {in_channels}"
        )
    if in_channels % groups:
        raise ShapeError(
            f"input of shape {input_shape} has {in_channels} channels; they must be a multiple of "
            f"groups, which is {groups}"
        )
    out_channels = group_channels * groups
    _check_bias(bias_shape, out_channels, weight_shape)
    for axis in (0, 1):
        if output_padding[axis] >= max(stride[axis], dilation[axis]):
            raise ArgumentError(
                f"output_padding is {output_padding}; it must be smaller than stride {stride} or "
                f"dilation {dilation} on each axis"
            )
    sizes = tuple(
        transposed_output_size(
            (height, width)[axis],
            kernel[axis],
            stride[axis],
            padding[axis],
            output_padding[axis],
            dilation[axis],
        )
        for axis in (0, 1)
    )
    if min(sizes) < 1:
        raise ShapeError(
            f"padding is {padding}; it cuts the output of input {input_shape} and weight {weight_shape} down "
            f"to {sizes}, and each must be 1 or more"
        )
    problem = Problem(
        "grad_input",
        batch,
        out_channels,
        in_channels,
        (sizes[0], sizes[1]),
        (kernel[0], kernel[1]),
        stride,
        ((padding[0], padding[0]), (padding[1], padding[1])),
        dilation,
        groups,
        dtype,
        device,
        (height, width),
    )
    _check_result_size(problem.input_shape)
    return Call(problem, len(input_shape) == 3)


def _check_ranks(
    input_shape: Shape, weight_shape: Shape, channels_of_weight: tuple[str, str]
) -> tuple[int, int, int, int]:
    if len(input_shape) not in (3, 4):
        raise ShapeError(
            f"input has shape {input_shape}; it must have 4 dimensions (batch, channels, height, width), or "
            "3 without a batch"
        )
    if len(weight_shape) != 4:
        raise ShapeError(
            f"weight has shape {weight_shape}; it must have 4 dimensions ({channels_of_weight[0]} channels, "
            f"{channels_of_weight[1]} channels / groups, kernel height, kernel width)"
        )
    batch, channels, height, width = (1, *input_shape) if len(input_shape) == 3 else input_shape
    if min(channels, height, width) < 1:
        raise ShapeError(f"input has shape {input_shape}; only the batch may be 0")
    if min(weight_shape) < 1:
        raise ShapeError(f"weight has shape {weight_shape}; every dimension must be 1 or more")
    return batch, channels, height, width


def _check_bias(bias_shape: Shape | None, channels: int, weight_shape: Shape) -> None:
    if bias_shape is not None and bias_shape != (channels,):
        raise ShapeError(
            f"bias has shape {bias_shape}; with weight of shape {weight_shape} it must have shape "
            f"({channels},), one number for each output channel"
        )


def _check_result_size(shape: Shape) -> None:
    # One process can address 2**47 bytes on common 64-bit machines: 2**45 elements of float32.
    elements = functools.reduce(operator.mul, shape)
    if elements > 2**45:
        raise ShapeError(
            f"output would have shape {shape}, which is {elements} elements and more than fit in memory; "
            "check padding, stride and the sizes of input and weight"
        )


def _same_sides(kernel: int, dilation: int) -> Pair:
    """Return the two sides of 'same' padding; an odd element goes to the end, as in torch."""
    total = dilation * (kernel - 1)
    return (total // 2, total - total // 2)
