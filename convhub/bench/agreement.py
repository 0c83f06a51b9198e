"""Checks that two results agree: the time of a wrong result is worthless.

This does not test correctness, which the conformance suite does; it finds a side that computes something
else. So it is fast, assumes neither side to be right, and allows the errors of every algorithm in use,
including transforms and sums in 16 bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConvhubError
from ..problem import Problem
from ..reference.bounds import probable_growth, storage_epsilon

__all__ = ["DisagreementError", "allowed_difference", "check_agreement", "difference"]

#: The largest allowed difference, however coarse the type.
MOST = 0.5


class DisagreementError(ConvhubError):
    """The two sides of a benchmark computed different things."""


def difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the largest difference of two elements, over the root mean square of all: 0 for equal arrays.

    Examples
    --------
    >>> round(difference(np.array([3.0, 4.0]), np.array([4.0, 3.0])), 3)
    0.283
    """
    if one.shape != other.shape:
        return math.inf
    if not one.size:
        return 0.0
    wide = np.complex128 if one.dtype.kind == "c" else np.float64
    with np.errstate(all="ignore"):
        a, b = one.astype(wide), other.astype(wide)
        scale = math.sqrt((float(np.mean(np.abs(a) ** 2)) + float(np.mean(np.abs(b) ** 2))) / 2)
        largest = float(np.max(np.abs(a - b)))
    return largest / scale if largest else 0.0


def allowed_difference(problem: Problem, allow_tf32: bool = False) -> float:
    """Return the largest allowed `difference`: what rounding explains, with a wide margin.

    Zero for integers, whose sums are exact. TF32 has as many bits as float16.
    """
    if "int" in problem.dtype:
        return 0.0
    rounded_to = "float16" if allow_tf32 and problem.dtype == "float32" else problem.dtype
    return min(MOST, 16 * probable_growth(problem.terms) * storage_epsilon(rounded_to))


def check_agreement(
    problem: Problem,
    name: str,
    result: NDArray[Any],
    other_name: str,
    other: NDArray[Any],
    *,
    allow_tf32: bool = False,
) -> None:
    """Compare two results; with `allow_tf32` their products may have been rounded to TF32.

    Raises
    ------
    DisagreementError
        If they differ in shape, or by more than rounding explains.
    """
    found, allowed = difference(result, other), allowed_difference(problem, allow_tf32)
    if not found <= allowed:  # NaN never agrees
        shapes = f" (shapes {result.shape} and {other.shape})" if result.shape != other.shape else ""
        raise DisagreementError(
            f"{name} and {other_name} do not agree on {problem}{shapes}: the largest difference is "
            f"{found:.3g} of the root mean square, and may be {allowed:.3g}; "
            f'`convhub verify "{problem}" --backend {name}` tells which is wrong'
        )
