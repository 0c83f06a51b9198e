"""The backend ``naive``: convolution written as its definition, to read and to compare with."""

from __future__ import annotations

import numpy as np

from convhub.backend import Backend, Capabilities, Problem, RunOptions, hookimpl

from .loops import forward, grad_input, grad_weight

__all__ = ["convhub_backends", "convhub_contract"]

#: The version of the contract in `convhub.backend` that this backend was written for.
convhub_contract = 1

# The size of long double and its name depend on the platform; it may be the same as float64.
_LONG = (np.dtype(np.longdouble).name, np.dtype(np.clongdouble).name)
_FLOATS = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def algorithm(problem: Problem, options: RunOptions) -> str:
    """Name the algorithm."""
    return "loops"


@hookimpl
def convhub_backends() -> list[Backend]:
    """Return the backend ``naive``."""
    return [
        Backend(
            "naive",
            Capabilities(dtypes=tuple(dict.fromkeys((*_FLOATS, *_LONG, *_INTEGERS)))),
            forward,
            grad_input,
            grad_weight,
            algorithm=algorithm,
            preference={"cpu": 10},
            summary="the definition as loops; slow, and the easiest to read",
        )
    ]
