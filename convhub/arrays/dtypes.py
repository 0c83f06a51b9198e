"""Finds NumPy's dtype of a name, bfloat16 included, or says why there is none."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DtypeError

__all__ = ["NUMPY_NAMES", "numpy_dtype", "numpy_lacks"]

#: The name of each dtype. A dictionary, since `numpy.dtype.name` is computed again at each access and costs a
#: microsecond.
NUMPY_NAMES: dict[np.dtype[Any], str] = {
    np.dtype(code): np.dtype(code).name
    for code in "efdFDbhilqBHILQ" + ("gG" if np.dtype("g").itemsize > 8 else "")
}


def numpy_dtype(name: str) -> np.dtype[Any]:
    """Return NumPy's dtype of that name, ``"bfloat16"`` included.

    Raises
    ------
    DtypeError
        If NumPy has none here: bfloat16 without ml_dtypes, or a long double that the platform lacks.
    """
    if name == "bfloat16":
        return _numpy_bfloat16()
    try:
        return np.dtype(name)
    except TypeError as error:
        raise DtypeError(f"dtype is {name}, which NumPy does not have on this platform") from error


def numpy_lacks(name: str) -> str | None:
    """Return in one line why NumPy has no dtype of that name here, and what helps; None if it has one.

    Examples
    --------
    >>> numpy_lacks("float32") is None
    True
    """
    try:
        numpy_dtype(name)
    except DtypeError as error:
        return str(error)
    return None


def _numpy_bfloat16() -> np.dtype[Any]:
    try:
        import ml_dtypes
    except ImportError as error:
        raise DtypeError(
            "dtype is bfloat16, which NumPy knows through ml_dtypes only: pip install ml_dtypes"
        ) from error
    dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return dtype
