"""Defines the size formulas, the primitives and the types, all in this one place.

The formulas are those of Dumoulin and Visin, *A guide to convolution arithmetic for deep learning* (2016),
arXiv:1603.07285, and of torch's documentation.
"""

from __future__ import annotations

from typing import Literal, get_args

__all__ = [
    "ITEM_BYTES",
    "MAX_ELEMENTS",
    "PRIMITIVES",
    "Pair",
    "Primitive",
    "full_output_size",
    "transposed_output_size",
]

Primitive = Literal["forward", "grad_input", "grad_weight"]
PRIMITIVES: tuple[Primitive, ...] = get_args(Primitive)
Pair = tuple[int, int]

# Integer types have full names too: a problem's text must be readable without a table.
ITEM_BYTES = {
    "bfloat16": 2,
    "float16": 2,
    "float32": 4,
    "float64": 8,
    "float128": 16,
    "complex64": 8,
    "complex128": 16,
    "complex256": 32,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "uint8": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
}

#: Offsets are 64-bit signed integers, which cannot address larger sizes.
MAX_ELEMENTS = 2**63 - 1


def full_output_size(input_size: int, kernel_size: int, stride: int, padding: Pair, dilation: int) -> int:
    """Return how many outputs fit along one axis (zero or less if the kernel does not fit).

    Relationship 15 of arXiv:1603.07285, with a different padding on each side.

    Parameters
    ----------
    input_size, kernel_size, stride, dilation : int
        In elements.
    padding : (int, int)
        Zeros before and after.

    Examples
    --------
    >>> full_output_size(5, kernel_size=3, stride=2, padding=(1, 1), dilation=1)
    3
    """
    reach = dilation * (kernel_size - 1) + 1
    return (input_size + sum(padding) - reach) // stride + 1


def transposed_output_size(
    size: int, kernel_size: int, stride: int, padding: int, output_padding: int, dilation: int
) -> int:
    """Return the output size of a transposed convolution along one axis.

    Relationship 14 of arXiv:1603.07285, with torch's `output_padding` and dilation.

    Examples
    --------
    >>> transposed_output_size(3, 3, stride=2, padding=1, output_padding=1, dilation=1)
    6
    """
    return (size - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1
