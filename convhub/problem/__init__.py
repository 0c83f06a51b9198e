"""Describes one convolution with all its sizes, and reads and prints its text form."""

from .problem import Problem, with_primitive
from .sizes import (
    ITEM_BYTES,
    MAX_ELEMENTS,
    PRIMITIVES,
    Pair,
    Primitive,
    full_output_size,
    transposed_output_size,
)

__all__ = [
    "ITEM_BYTES",
    "MAX_ELEMENTS",
    "PRIMITIVES",
    "Pair",
    "Primitive",
    "Problem",
    "full_output_size",
    "transposed_output_size",
    "with_primitive",
]
