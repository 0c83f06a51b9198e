"""Widens and narrows float16 and bfloat16, which are stored in 16 bits and computed as float32.

Numba has neither on CPUs, so the bits of float16 reach the kernels as uint16 and those of bfloat16 as
int16: these types tell which of the two an array holds. Kernels widen what they copy to scratch memory and
narrow finished sums where they store them; for float32 and float64, all functions here change nothing.

Widening is exact. Narrowing rounds to nearest, ties to even: overflow becomes infinity, a NaN stays one.
"""

from __future__ import annotations

import functools
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import config
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype

from convhub.backend import Array

__all__ = [
    "as_stored",
    "convert_value",
    "is_narrow",
    "is_narrow_dtype",
    "narrow_for",
    "stored_dtype",
    "stored_type",
    "sum_dtype",
    "widen",
]

_STORED = {"float16": np.dtype(np.uint16), "bfloat16": np.dtype(np.int16)}
_HALF, _BRAIN = types.uint16, types.int16
INT16, INT32, FLOAT = ir.IntType(16), ir.IntType(32), ir.FloatType()


def is_narrow_dtype(dtype: str) -> bool:
    """Say whether numbers of `dtype` are stored in 16 bits."""
    return dtype in _STORED


@functools.cache  # few names, and NumPy takes longer to parse one than a cached call
def sum_dtype(dtype: str) -> np.dtype[Any]:
    """Return the type in which `dtype` is summed."""
    return np.dtype(np.float32 if dtype in _STORED else dtype)


def stored_dtype(dtype: str) -> np.dtype[Any]:
    """Return the type in which the kernels see `dtype` stored."""
    return _STORED.get(dtype) or np.dtype(dtype)


def stored_type(dtype: str) -> Any:
    """Return Numba's type of an array's elements."""
    return from_dtype(stored_dtype(dtype))


def as_stored(array: Array, dtype: str) -> Array:
    """Return the same memory as the kernels see it; `dtype` is the array's own, by name."""
    return array.view(_STORED[dtype]) if dtype in _STORED else array


# --- in kernels -----------------------------------------------------------------------------------------


@intrinsic
def is_narrow(typing_context: Any, array: Any) -> Any:
    """Say whether `array` holds float16 or bfloat16; known when the kernel is compiled."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(ir.IntType(1), array.dtype in (_HALF, _BRAIN))

    return types.boolean(array), generate


@intrinsic
def widen(typing_context: Any, value: Any) -> Any:
    """Return a stored number in the type to compute with."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return convert_value(builder, arguments[0], value, signature.return_type)

    return (types.float32 if value in (_HALF, _BRAIN) else value)(value), generate


@intrinsic
def narrow_for(typing_context: Any, value: Any, array: Any) -> Any:
    """Return a finished sum as `array` stores it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return convert_value(builder, arguments[0], value, array.dtype)

    return array.dtype(value, array), generate


# --- in LLVM's terms: a value is a number or a vector of them ---------------------------------------------


def convert_value(builder: Any, value: Any, kind: Any, to: Any) -> Any:
    """Return a value of Numba's type `kind` as one of type `to`: the same, or one float32 and one stored."""
    if kind == to:
        return value
    return _widen(builder, value, kind) if kind in (_HALF, _BRAIN) else _narrow(builder, value, to)


def _widen(builder: Any, value: Any, stored: Any) -> Any:
    if stored == _BRAIN:
        bits = builder.shl(builder.zext(value, _like(value, INT32)), _all(value, INT32, 16))
        return builder.bitcast(bits, _like(value, FLOAT))
    if has_half_instructions():
        half = builder.bitcast(value, _like(value, ir.HalfType()))
        return builder.fpext(half, _like(value, FLOAT))
    return _widen_half(builder, value)


def _narrow(builder: Any, value: Any, stored: Any) -> Any:
    if stored == _BRAIN:
        return _narrow_to_brain(builder, value)
    if has_half_instructions():
        half = builder.fptrunc(value, _like(value, ir.HalfType()))
        return builder.bitcast(half, _like(value, INT16))
    return _narrow_to_half(builder, value)


def has_half_instructions() -> bool:
    """Say whether the target machine has instructions that convert float16 to float32 and back.

    Where it has none, LLVM would call a function for each number, which may not exist.
    """
    if config.CPU_FEATURES is not None:  # set by NUMBA_CPU_FEATURES
        present = {name.removeprefix("+") for name in config.CPU_FEATURES.split(",")}
    else:
        present = {name for name, there in llvm.get_host_cpu_features().items() if there}
    return bool(present & {"f16c", "neon"})


def _like(value: Any, element: Any) -> Any:
    """Return the type with the lanes of `value` and the type `element`."""
    return ir.VectorType(element, value.type.count) if isinstance(value.type, ir.VectorType) else element


def _all(value: Any, element: Any, constant: Any) -> Any:
    """Return a constant in each of the lanes of `value`."""
    kind = _like(value, element)
    return ir.Constant(kind, [constant] * kind.count if isinstance(kind, ir.VectorType) else constant)


def _narrow_to_brain(builder: Any, value: Any) -> Any:
    def number(bits: int) -> Any:
        return _all(value, INT32, bits)

    bits = builder.bitcast(value, _like(value, INT32))
    upper = builder.lshr(bits, number(16))
    # Adding just under half of the last place kept, plus one if that is odd, carries as rounding does.
    carry = builder.add(builder.and_(upper, number(1)), number(0x7FFF))
    rounded = builder.lshr(builder.add(bits, carry), number(16))
    quiet = builder.or_(upper, number(0x40))
    result = builder.select(builder.fcmp_unordered("uno", value, value), quiet, rounded)
    return builder.trunc(result, _like(value, INT16))


def _widen_half(builder: Any, value: Any) -> Any:
    """Move 5 bits of exponent and 10 of fraction to where float32 has its 8 and 23."""

    def number(bits: int) -> Any:
        return _all(value, INT32, bits)

    wide = builder.zext(value, _like(value, INT32))
    sign = builder.shl(builder.and_(wide, number(0x8000)), number(16))
    moved = builder.shl(builder.and_(wide, number(0x7FFF)), number(13))
    normal = builder.add(moved, number((127 - 15) << 23))
    not_finite = builder.or_(moved, number(0xFF << 23))
    # A subnormal's fraction behind the leading one of 2**-14, which a subtraction removes.
    ahead = builder.bitcast(builder.add(moved, number((127 - 14) << 23)), _like(value, FLOAT))
    subnormal = builder.bitcast(builder.fsub(ahead, _all(value, FLOAT, 2.0**-14)), wide.type)
    result = builder.select(builder.icmp_unsigned("<", moved, number(1 << 23)), subnormal, normal)
    result = builder.select(builder.icmp_unsigned(">=", moved, number(31 << 23)), not_finite, result)
    return builder.bitcast(builder.or_(result, sign), _like(value, FLOAT))


def _narrow_to_half(builder: Any, value: Any) -> Any:
    """Round by adding: as integers, or for subnormal results as float32 to a number of that last place."""

    def number(bits: int) -> Any:
        return _all(value, INT32, bits)

    bits = builder.bitcast(value, _like(value, INT32))
    sign = builder.lshr(builder.and_(bits, number(1 << 31)), number(16))
    size = builder.and_(bits, number((1 << 31) - 1))
    odd = builder.and_(builder.lshr(size, number(13)), number(1))
    carried = builder.add(builder.add(size, odd), number(0xFFF))
    normal = builder.lshr(builder.sub(carried, number((127 - 15) << 23)), number(13))
    summed = builder.fadd(builder.bitcast(size, value.type), _all(value, FLOAT, 0.5))
    subnormal = builder.sub(builder.bitcast(summed, bits.type), number(126 << 23))  # 0.5: last place 2**-24
    is_small = builder.icmp_unsigned("<", size, number((127 - 14) << 23))
    is_large = builder.icmp_unsigned(">=", size, number((127 + 16) << 23))
    is_nan = builder.icmp_unsigned(">", size, number(0xFF << 23))
    result = builder.select(is_small, subnormal, normal)
    result = builder.select(is_large, number(0x7C00), result)
    result = builder.select(is_nan, number(0x7E00), result)
    return builder.trunc(builder.or_(result, sign), _like(value, INT16))
