"""Converts one library's arrays into another's, without a copy where memory can be shared."""

from __future__ import annotations

import functools
import importlib
import math
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError
from .cuda_exchange import cupy_to_torch, torch_to_cupy
from .dtypes import NUMPY_NAMES, numpy_dtype
from .info import Array, array_info, describe

__all__ = ["conjugate", "converter", "to_numpy"]


def converter(source: str, target: str) -> Callable[[Array], Array] | None:
    """Return the function that makes an array of library `target` from one of `source`, sharing memory.

    It copies, on the same device, only where memory cannot be shared (torch has no negative strides). None
    means that no conversion is needed; a tensor becomes one without gradient or lazy conjugate. Between torch
    and CuPy it orders no streams: see `convhub.arrays.cuda_exchange.one_stream`.

    Raises
    ------
    ArgumentTypeError
        If one of the libraries works on the CPU only, and the other on GPUs only.
    """
    if source == target != "torch":
        return None
    function = _CONVERTERS.get((source, target))
    if function is None:
        raise ArgumentTypeError(
            f"an array of {source} cannot become one of {target} without leaving its device; "
            "convhub never moves arrays between devices"
        )
    return function


def _torch_to_numpy(tensor: Array) -> Array:
    torch: Any = sys.modules["torch"]
    _check_memory(tensor)
    # Each step makes a new tensor, which costs as much as a tiny convolution.
    if tensor.dtype is torch.bfloat16:
        return _plain_tensor(tensor).view(torch.int16).numpy().view(numpy_dtype("bfloat16"))
    try:
        return tensor.numpy()
    except RuntimeError:  # It requires a gradient, or is lazily conjugated, negated or zero.
        return _plain_tensor(tensor).numpy()


def _check_memory(tensor: Array) -> None:
    """Refuse a tensor that exceeds its storage: reading it would crash the process or return other data.

    Raises
    ------
    ArgumentError
        If a storage was freed or made smaller under its tensor, as FSDP does between passes.
    """
    needed, storage = tensor.nbytes, tensor.untyped_storage()
    if storage.nbytes() >= needed and tensor.is_contiguous() and not tensor.storage_offset():
        return
    from .tensor_kinds import missing_memory

    missing = missing_memory(tensor)
    if missing is not None and not tensor._is_zerotensor():
        raise ArgumentError(f"an operand is {describe(tensor)} {missing}; it must hold its elements")


@functools.cache
def _imported_torch() -> ModuleType:
    """Import torch, which cannot be imported again after Ctrl-C has interrupted its import."""
    from ..system.apart import apart

    return apart(importlib.import_module, "torch")


def _numpy_to_torch(array: Array) -> Array:
    torch: Any = _imported_torch()
    narrow = (NUMPY_NAMES.get(array.dtype) or array.dtype.name) == "bfloat16"
    if narrow:  # torch does not take it from NumPy
        array = array.view(np.int16)
    flags, steps, itemsize = array.flags, array.strides, array.itemsize
    if not flags.aligned or min(steps, default=0) < 0 or math.gcd(itemsize, *steps) != itemsize:
        array = np.array(array, order="C")  # Copy strides that torch cannot express.
    elif not flags.writeable:
        array = np.asarray(_Writable(array))
    tensor = torch.from_numpy(array)
    return tensor.view(torch.bfloat16) if narrow else tensor


class _Writable:
    """Presents a read-only array's memory to torch as writable, since torch warns of read-only arrays."""

    def __init__(self, array: Array) -> None:
        self.array = array  # keeps it alive as long as the view
        interface = dict(array.__array_interface__)
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def _plain_tensor(tensor: Array) -> Array:
    """Return a tensor with the same elements in memory: without gradient, lazy conjugate or lazy zeros."""
    _check_memory(tensor)
    if tensor._is_zerotensor():
        return tensor.new_zeros(tensor.shape)
    return tensor.detach().resolve_conj().resolve_neg()


_CONVERTERS: dict[tuple[str, str], Callable[[Array], Array]] = {
    ("torch", "torch"): _plain_tensor,
    ("torch", "numpy"): _torch_to_numpy,
    ("numpy", "torch"): _numpy_to_torch,
    ("torch", "cupy"): torch_to_cupy,
    ("cupy", "torch"): cupy_to_torch,
}


def to_numpy(array: Array) -> np.ndarray[Any, np.dtype[Any]]:
    """Return an array of any library as a NumPy array; from a GPU it waits and copies."""
    if isinstance(array, np.ndarray):
        return array
    if hasattr(array, "get"):  # a CuPy array
        return np.asarray(array.get())
    return np.asarray(_torch_to_numpy(array.detach().cpu()))


def conjugate(array: Array) -> Array:
    """Return the complex conjugate, or the array itself if it is real."""
    fact = array_info("array", array)
    if not fact.dtype.startswith("complex"):
        return array
    if fact.library == "cupy":
        with array.device:  # it need not be the current one
            return array.conj()
    return array.conj()
