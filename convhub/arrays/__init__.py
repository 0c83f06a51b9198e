"""Describes arrays of NumPy, torch and CuPy, and converts one library's into another's."""

from .convert import conjugate, converter, to_numpy
from .dtypes import numpy_dtype, numpy_lacks
from .info import Array, ArrayInfo, array_info, common_info, describe, fingerprint
from .sums import channel_sum

__all__ = [
    "Array",
    "ArrayInfo",
    "array_info",
    "channel_sum",
    "common_info",
    "conjugate",
    "converter",
    "describe",
    "fingerprint",
    "numpy_dtype",
    "numpy_lacks",
    "to_numpy",
]
