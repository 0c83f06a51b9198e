"""Describes an array of NumPy, torch or CuPy: its library, shape, dtype and device.

No array library but NumPy is imported here before the caller has imported it: a torch array exists only if
torch has been imported, so a look-up in `sys.modules` is enough.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, DtypeError, MixedArraysError, kind_of, short_repr
from .dtypes import NUMPY_NAMES

__all__ = ["Array", "ArrayInfo", "array_info", "common_info", "describe", "fingerprint"]

Array = Any


class ArrayInfo(NamedTuple):
    """What convhub needs to know about an array.

    `device` is ``"cpu"`` or ``"cuda:0"``; `dtype` is NumPy's name of it, or ``"bfloat16"``.
    """

    library: str
    shape: tuple[int, ...]
    dtype: str
    device: str


_TORCH_NAMES: dict[Any, str] = {}
#: torch's own tensor classes, set when the first tensor is seen.
_PLAIN_TENSORS: tuple[type, ...] = ()


def describe(array: Array) -> str:
    """Describe an object for an error message, with its shape if it has one."""
    if _is_numpy(array) or _is_torch(array) or _is_cupy(array):
        kind = type(array)
        return f"a {kind.__module__.split('.')[0]}.{kind.__name__} of shape {tuple(array.shape)}"
    return f"{short_repr(array)} of type {kind_of(array)}"


def array_info(name: str, array: Array) -> ArrayInfo:
    """Return what convhub needs to know about `array`, the argument called `name`.

    Raises
    ------
    ArgumentTypeError
        If it is no array of NumPy, torch or CuPy, or one that does not lie plainly in memory.
    DtypeError
        If its elements cannot be convolved.
    """
    if type(array) is np.ndarray:
        dtype = NUMPY_NAMES.get(array.dtype)
        if dtype is not None:
            return ArrayInfo("numpy", array.shape, dtype, "cpu")
    return _facts_with_checks(name, array)


def fingerprint(array: Array) -> tuple[Any, ...] | None:
    """Return a key that determines an array's `array_info`; None where only `array_info` itself can tell.

    It costs a tenth of a microsecond, four for a tensor. Tensors without their own memory are left to
    `array_info`: those that torch wraps refuse to give an address, or give none.
    """
    kind = type(array)
    if kind is np.ndarray:
        return array.shape, array.dtype
    if kind in _PLAIN_TENSORS:
        try:
            if array.data_ptr():
                return array.shape, array.dtype, array.layout, array.is_cpu or array.device
        except RuntimeError:
            return None
    return None


def common_info(arrays: Mapping[str, Array | None]) -> tuple[ArrayInfo, ...]:
    """Return the info of each array that is not None, all of one library, dtype and device.

    Parameters
    ----------
    arrays : mapping of argument name to array or None

    Raises
    ------
    MixedArraysError
        If two arrays differ in library, dtype or device; the message names both sides.
    """
    found: list[ArrayInfo] = []
    first_name = ""
    for name, array in arrays.items():
        if array is None:
            continue
        fact = array_info(name, array)
        if not found:
            first_name = name
        elif (
            fact.library != found[0].library or fact.dtype != found[0].dtype or fact.device != found[0].device
        ):
            raise _mixed(first_name, found[0], name, fact)
        found.append(fact)
    return tuple(found)


def _mixed(first_name: str, first: ArrayInfo, name: str, other: ArrayInfo) -> MixedArraysError:
    aspect = next(a for a in ("library", "device", "dtype") if getattr(first, a) != getattr(other, a))
    return MixedArraysError(
        f"{name} of shape {other.shape} has {aspect} {getattr(other, aspect)}, but {first_name} of shape "
        f"{first.shape} has {aspect} {getattr(first, aspect)}; all arrays of a call must agree"
    )


def _facts_with_checks(name: str, array: Array) -> ArrayInfo:
    if _is_numpy(array):
        if isinstance(array, np.ma.MaskedArray):
            raise ArgumentTypeError(
                f"{name} is {describe(array)}; a mask would be lost, so pass {name}.filled(...) or .data"
            )
        return ArrayInfo("numpy", array.shape, _numpy_dtype_name(name, array), "cpu")
    if _is_torch(array):
        return _torch_info(name, array)
    if _is_cupy(array):
        return ArrayInfo(
            "cupy", tuple(array.shape), _numpy_dtype_name(name, array), f"cuda:{array.device.id}"
        )
    raise ArgumentTypeError(f"{name} is {describe(array)}; it must be an array of NumPy, torch or CuPy")


def _numpy_dtype_name(name: str, array: Array) -> str:
    dtype: np.dtype[Any] = array.dtype
    known = NUMPY_NAMES.get(dtype)
    if known is None and dtype.name == "bfloat16":  # the type of ml_dtypes, which need not be imported
        known = NUMPY_NAMES[dtype] = "bfloat16"
    if known is not None:
        return known
    if dtype.newbyteorder("=") in NUMPY_NAMES:
        raise DtypeError(
            f"{name} of shape {array.shape} has dtype {dtype.str!r}, of foreign byte order; convert it with "
            f"{name}.astype({name}.dtype.newbyteorder('='))"
        )
    raise _unsupported(name, tuple(array.shape), str(dtype))


def _unsupported(name: str, shape: tuple[int, ...], dtype: str) -> DtypeError:
    return DtypeError(
        f"{name} of shape {shape} has dtype {dtype}, which is not supported; it must be float16, bfloat16, "
        "float32, float64, complex64, complex128 or an integer type of 8 to 64 bits"
    )


def _torch() -> ModuleType | None:
    return sys.modules.get("torch")


# These use `type(array)`, since `isinstance` also reads ``__class__``, which may return or raise anything.
def _is_numpy(array: Array) -> bool:
    return issubclass(type(array), np.ndarray)


def _is_torch(array: Array) -> bool:
    tensor = getattr(_torch(), "Tensor", None)
    return tensor is not None and issubclass(type(array), tensor)


def _is_cupy(array: Array) -> bool:
    ndarray = getattr(sys.modules.get("cupy"), "ndarray", None)
    return ndarray is not None and issubclass(type(array), ndarray)


def _torch_info(name: str, tensor: Array) -> ArrayInfo:
    from .tensor_kinds import PLAIN, check

    global _PLAIN_TENSORS
    torch: Any = _torch()
    if not _TORCH_NAMES:
        _PLAIN_TENSORS = PLAIN
        names = ("bfloat16", *NUMPY_NAMES.values())
        _TORCH_NAMES.update({getattr(torch, n): n for n in names if hasattr(torch, n)})
    check(name, tensor)
    if tensor.layout is not torch.strided:
        raise ArgumentTypeError(
            f"{name} is {describe(tensor)} of layout {tensor.layout}; it must be dense: {name}.to_dense()"
        )
    dtype = _TORCH_NAMES.get(tensor.dtype)
    if dtype is None:
        raise _unsupported(name, tuple(tensor.shape), str(tensor.dtype))
    device, shape = tensor.device, tuple(map(int, tensor.shape))
    if device.type == "cpu":
        return ArrayInfo("torch", shape, dtype, "cpu")
    if device.type == "cuda":
        return ArrayInfo("torch", shape, dtype, f"cuda:{device.index}")
    raise ArgumentError(
        f"{name} of shape {tuple(tensor.shape)} is on device {str(device)!r}; it must be on cpu or cuda"
    )
