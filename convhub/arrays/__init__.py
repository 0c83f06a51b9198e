"""Takes arrays of NumPy, torch and CuPy: what they are, and how one library's become another's."""

from .convert import conjugate, converter, to_numpy
from .dtypes import numpy_dtype, numpy_lacks
from .info import Array, Facts, common_facts, describe, facts, look
from .sums import channel_sum

__all__ = [
    "Array",
    "Facts",
    "channel_sum",
    "common_facts",
    "conjugate",
    "converter",
    "describe",
    "facts",
    "look",
    "numpy_dtype",
    "numpy_lacks",
    "to_numpy",
]
