"""Arrays of NumPy, torch and CuPy: what they are, and how one library's become another's without a copy.

No array library but NumPy is ever imported here before the caller has imported it: an array of torch can
only exist where torch has been imported, so `sys.modules` answers.
"""

from __future__ import annotations

import functools
import importlib
import math
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from .errors import ArgumentError, ArgumentTypeError, DtypeError, MixedArraysError, kind_of, shown

__all__ = [
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
]

Array = Any


class Facts(NamedTuple):
    """What convhub needs to know of an array.

    `device` is ``"cpu"`` or ``"cuda:0"``; `dtype` is NumPy's name of it, or ``"bfloat16"``.
    """

    library: str
    shape: tuple[int, ...]
    dtype: str
    device: str


# A dictionary, since `numpy.dtype.name` is computed again at each access and costs a microsecond.
_NUMPY_NAMES: dict[np.dtype[Any], str] = {
    np.dtype(code): np.dtype(code).name
    for code in "efdFDbhilqBHILQ" + ("gG" if np.dtype("g").itemsize > 8 else "")
}
_TORCH_NAMES: dict[Any, str] = {}
#: torch's own classes of tensors, as soon as one has been seen.
_PLAIN_TENSORS: tuple[type, ...] = ()


def describe(array: Array) -> str:
    """Return a short text for an error message: what the thing is, with its shape if it has one."""
    if _is_numpy(array) or _is_torch(array) or _is_cupy(array):
        kind = type(array)
        return f"a {kind.__module__.split('.')[0]}.{kind.__name__} of shape {tuple(array.shape)}"
    return f"{shown(array)} of type {kind_of(array)}"


def facts(name: str, array: Array) -> Facts:
    """Return what convhub needs to know of `array`, the argument called `name`.

    Raises
    ------
    ArgumentTypeError
        If it is no array of NumPy, torch or CuPy, or one that does not lie plainly in memory.
    DtypeError
        If its elements cannot be convolved.
    """
    if type(array) is np.ndarray:
        dtype = _NUMPY_NAMES.get(array.dtype)
        if dtype is not None:
            return Facts("numpy", array.shape, dtype, "cpu")
    return _facts_with_checks(name, array)


def look(array: Array) -> tuple[Any, ...] | None:
    """Return what decides the `facts` of an array, to be remembered by; None where only `facts` can tell.

    A look costs a tenth of a microsecond, for a tensor four. A tensor without memory of its own is one for
    `facts`: those that torch wraps refuse to tell an address, or tell none.
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


def common_facts(arrays: Mapping[str, Array | None]) -> tuple[Facts, ...]:
    """Return the facts of each array that is not None, all of one library, dtype and device.

    Parameters
    ----------
    arrays : mapping of argument name to array or None

    Raises
    ------
    MixedArraysError
        Naming both sides, if two arrays differ in library, dtype or device.
    """
    found: list[Facts] = []
    first_name = ""
    for name, array in arrays.items():
        if array is None:
            continue
        fact = facts(name, array)
        if not found:
            first_name = name
        elif (
            fact.library != found[0].library or fact.dtype != found[0].dtype or fact.device != found[0].device
        ):
            raise _mixed(first_name, found[0], name, fact)
        found.append(fact)
    return tuple(found)


def _mixed(first_name: str, first: Facts, name: str, other: Facts) -> MixedArraysError:
    aspect = next(a for a in ("library", "device", "dtype") if getattr(first, a) != getattr(other, a))
    return MixedArraysError(
        f"{name} of shape {other.shape} has {aspect} {getattr(other, aspect)}, but {first_name} of shape "
        f"{first.shape} has {aspect} {getattr(first, aspect)}; all arrays of a call must agree"
    )


def _facts_with_checks(name: str, array: Array) -> Facts:
    if _is_numpy(array):
        if isinstance(array, np.ma.MaskedArray):
            raise ArgumentTypeError(
                f"{name} is {describe(array)}; a mask would be lost, so pass {name}.filled(...) or .data"
            )
        return Facts("numpy", array.shape, _numpy_dtype_name(name, array), "cpu")
    if _is_torch(array):
        return _torch_facts(name, array)
    if _is_cupy(array):
        return Facts("cupy", tuple(array.shape), _numpy_dtype_name(name, array), f"cuda:{array.device.id}")
    raise ArgumentTypeError(f"{name} is {describe(array)}; it must be an array of NumPy, torch or CuPy")


def _numpy_dtype_name(name: str, array: Array) -> str:
    dtype: np.dtype[Any] = array.dtype
    known = _NUMPY_NAMES.get(dtype)
    if known is None and dtype.name == "bfloat16":  # of ml_dtypes, which need not be imported
        known = _NUMPY_NAMES[dtype] = "bfloat16"
    if known is not None:
        return known
    if dtype.newbyteorder("=") in _NUMPY_NAMES:
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


# Of `type(array)`, since the ``__class__`` that `isinstance` asks too may say and raise anything.
def _is_numpy(array: Array) -> bool:
    return issubclass(type(array), np.ndarray)


def _is_torch(array: Array) -> bool:
    tensor = getattr(_torch(), "Tensor", None)
    return tensor is not None and issubclass(type(array), tensor)


def _is_cupy(array: Array) -> bool:
    ndarray = getattr(sys.modules.get("cupy"), "ndarray", None)
    return ndarray is not None and issubclass(type(array), ndarray)


def _torch_facts(name: str, tensor: Array) -> Facts:
    from .torch.kinds import PLAIN, check

    global _PLAIN_TENSORS
    torch: Any = _torch()
    if not _TORCH_NAMES:
        _PLAIN_TENSORS = PLAIN
        names = ("bfloat16", *_NUMPY_NAMES.values())
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
        return Facts("torch", shape, dtype, "cpu")
    if device.type == "cuda":
        return Facts("torch", shape, dtype, f"cuda:{device.index}")
    raise ArgumentError(
        f"{name} of shape {tuple(tensor.shape)} is on device {str(device)!r}; it must be on cpu or cuda"
    )


# --- from one library to another -----------------------------------------------------------------------


def converter(source: str, target: str) -> Callable[[Array], Array] | None:
    """Return the function that makes an array of library `target` from one of `source`, sharing memory.

    Only where memory cannot be shared (torch knows no negative strides) is there a copy, on the same
    device. None where nothing is to be done; a tensor becomes one without gradient or lazy conjugate.
    Between torch and CuPy it orders no streams: see `convhub.cuda_exchange.one_stream`.

    Raises
    ------
    ArgumentTypeError
        If one of the libraries lives on the CPU only, and the other on GPUs only.
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
    torch: Any = _torch()
    _check_memory(tensor)
    # Each step makes a new tensor, which costs as much as a tiny convolution.
    if tensor.dtype is torch.bfloat16:
        return _plain_tensor(tensor).view(torch.int16).numpy().view(_numpy_bfloat16())
    try:
        return tensor.numpy()
    except RuntimeError:  # it wants a gradient, or is lazily conjugated, negated or zero
        return _plain_tensor(tensor).numpy()


def _check_memory(tensor: Array) -> None:
    """Refuse a tensor whose storage does not hold it: reading would end the process, or give what lies there.

    Raises
    ------
    ArgumentError
        Where a storage was freed or made smaller under its tensor, as FSDP does between passes.
    """
    needed, storage = tensor.nbytes, tensor.untyped_storage()
    if storage.nbytes() >= needed and tensor.is_contiguous() and not tensor.storage_offset():
        return
    from .torch.kinds import missing_memory

    missing = missing_memory(tensor)
    if missing is not None and not tensor._is_zerotensor():
        raise ArgumentError(f"an operand is {describe(tensor)} {missing}; it must hold its elements")


@functools.cache
def _imported_torch() -> ModuleType:
    """Import torch, which cannot be imported again where Ctrl-C has ended that half way."""
    from .apart import apart

    return apart(importlib.import_module, "torch")


def _numpy_to_torch(array: Array) -> Array:
    torch: Any = _imported_torch()
    narrow = (_NUMPY_NAMES.get(array.dtype) or array.dtype.name) == "bfloat16"
    if narrow:  # which torch does not take from NumPy
        array = array.view(np.int16)
    flags, steps, itemsize = array.flags, array.strides, array.itemsize
    if not flags.aligned or min(steps, default=0) < 0 or math.gcd(itemsize, *steps) != itemsize:
        array = np.array(array, order="C")  # strides that torch cannot express
    elif not flags.writeable:
        array = np.asarray(_Writable(array))
    tensor = torch.from_numpy(array)
    return tensor.view(torch.bfloat16) if narrow else tensor


class _Writable:
    """The memory of a read-only array, for torch, which warns at every array that is read-only."""

    def __init__(self, array: Array) -> None:
        self.array = array  # kept alive as long as the view is
        interface = dict(array.__array_interface__)
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def _plain_tensor(tensor: Array) -> Array:
    """Return a tensor with the same elements in memory: without gradient, lazy conjugate or lazy zeros."""
    _check_memory(tensor)
    if tensor._is_zerotensor():
        return tensor.new_zeros(tensor.shape)
    return tensor.detach().resolve_conj().resolve_neg()


def _torch_to_cupy(tensor: Array) -> Array:
    from .cuda_exchange import torch_to_cupy

    return torch_to_cupy(tensor)


def _cupy_to_torch(array: Array) -> Array:
    from .cuda_exchange import cupy_to_torch

    return cupy_to_torch(array)


_CONVERTERS: dict[tuple[str, str], Callable[[Array], Array]] = {
    ("torch", "torch"): _plain_tensor,
    ("torch", "numpy"): _torch_to_numpy,
    ("numpy", "torch"): _numpy_to_torch,
    ("torch", "cupy"): _torch_to_cupy,
    ("cupy", "torch"): _cupy_to_torch,
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
    """Return in one line why NumPy has no dtype of that name here, and what helps; None where it has one.

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


# --- the little arithmetic that is not a primitive -------------------------------------------------------


def conjugate(array: Array) -> Array:
    """Return the complex conjugate; the array itself where it is real."""
    fact = facts("array", array)
    if not fact.dtype.startswith("complex"):
        return array
    if fact.library == "cupy":
        with array.device:  # which need not be the current one
            return array.conj()
    return array.conj()


def channel_sum(array: Array) -> Array:
    """Return the sum over batch, height and width of an (N, C, H, W) array: the gradient of a bias.

    Its error stays within the bound of a sum of so many terms, in whatever order they lie in memory. NumPy
    and torch add up by pairs along some axes only, and one after another along the rest. So float16 and
    float32 of NumPy are accumulated in float64, and all else in blocks that are added up by pairs.
    """
    fact = facts("grad_output", array)
    if fact.library == "torch":
        if fact.dtype.startswith("uint"):  # which torch does not sum; int64 wraps around alike
            return array.long().sum((0, 2, 3)).to(array.dtype)
        torch: Any = _torch()
        dtype = torch.float32 if fact.dtype in ("float16", "bfloat16") else array.dtype
        most = _at_once(array) if fact.device == "cpu" else ON_A_GPU
        return _sum_in_blocks(array, array.stride(), dtype, most).to(array.dtype)
    if fact.library == "cupy":
        with array.device:  # which need not be the current one
            return _wide_sum(array, fact.dtype, ON_A_GPU)
    array = np.asarray(array)
    with np.errstate(all="ignore"):  # as in a backend: the sum is the same, whatever the caller has set
        return _wide_sum(array, fact.dtype, _at_once(array))


#: Terms that a GPU adds up at once: hundreds of threads share them, and starting a kernel takes long.
ON_A_GPU = 2**22


def _wide_sum(array: Array, dtype: str, most: int) -> Array:
    wider = {"float16": "float64", "bfloat16": "float64", "float32": "float64", "complex64": "complex128"}
    if dtype in wider or array.dtype.kind in "iu":
        total = array.sum(axis=(0, 2, 3), dtype=wider.get(dtype, array.dtype))
    else:
        total = _sum_in_blocks(array, array.strides, array.dtype, most)
    return total.astype(array.dtype, copy=False)


def _at_once(array: Array) -> int:
    """Return how many terms may be added one after another, blocks of them being added by pairs.

    If all are alike, each addition of n errs by eps/8 of the total at most, and the bound is (8 + √n) eps.
    """
    return 64 + 4 * math.isqrt(_terms(array))


def _terms(array: Array) -> int:
    return int(array.shape[0] * array.shape[2] * array.shape[3])


def _sum_in_blocks(array: Array, strides: tuple[int, ...], dtype: Any, most: int) -> Array:
    """Return the sum over batch, height and width, of halves where more than `most` terms make a chain."""
    if _terms(array) // _run(array, strides) <= most:
        return array.sum((0, 2, 3), dtype=dtype)
    axis = max((0, 2, 3), key=lambda axis: (array.shape[axis] > 1, abs(strides[axis])))
    half, before = array.shape[axis] // 2, (slice(None),) * axis
    return _sum_in_blocks(array[(*before, slice(half))], strides, dtype, most) + _sum_in_blocks(
        array[(*before, slice(half, None))], strides, dtype, most
    )


def _run(array: Array, strides: tuple[int, ...]) -> int:
    """Return how many terms a library's innermost loop goes through, which it adds up by pairs.

    NumPy does so only where they lie side by side in memory, torch at any distance.
    """
    axes = sorted((axis for axis in (0, 2, 3) if array.shape[axis] > 1), key=lambda axis: strides[axis])
    step = array.itemsize if isinstance(array, np.ndarray) or not axes else strides[axes[0]]
    run = 1
    for axis in axes:
        if strides[axis] != step * run:
            break
        run *= int(array.shape[axis])
    return run
