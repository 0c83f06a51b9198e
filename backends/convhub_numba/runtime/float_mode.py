"""Reads and sets a thread's floating-point mode: rounding, and flushing of subnormal numbers.

A thread starts with its creator's mode, and `torch.set_flush_denormal` sets that of the calling thread. So
that results depend neither on the caller nor on which thread computes which part, kernels run in the mode
that every program begins with.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..vectors.emitter import INT64

__all__ = ["default_float_mode", "float_mode", "set_float_mode"]

#: On x86, MXCSR with its six status flags clear and all exceptions masked; on ARM, FPCR. Elsewhere the mode
#: is left unchanged.
X86, ARM = 0x1F80, 0
X86_FLAGS = 0x3F


def _machine() -> str:
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


@intrinsic
def default_float_mode(typing_context: Any) -> Any:
    """Return the mode that programs begin with: round to nearest, flush nothing."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return ir.Constant(INT64, X86 if _machine() == "x86_64" else ARM)

    return types.int64(), generate


@intrinsic
def float_mode(typing_context: Any) -> Any:
    """Return the mode of this thread."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if _machine() == "x86_64":
            place = cgutils.alloca_once(builder, ir.IntType(32))
            _call(builder, "llvm.x86.sse.stmxcsr", ir.VoidType(), _bytes(builder, place))
            flags = ir.Constant(INT64, ~X86_FLAGS)
            return builder.and_(builder.zext(builder.load(place), INT64), flags)
        if _machine() == "aarch64":
            return _call(builder, "llvm.aarch64.get.fpcr", INT64)
        return ir.Constant(INT64, 0)

    return types.int64(), generate


@intrinsic
def set_float_mode(typing_context: Any, mode: Any) -> Any:
    """Set the mode of this thread."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if _machine() == "x86_64":
            number = ir.IntType(32)
            place = cgutils.alloca_once_value(builder, builder.trunc(values[0], number))
            _call(builder, "llvm.x86.sse.ldmxcsr", ir.VoidType(), _bytes(builder, place))
        elif _machine() == "aarch64":
            _call(builder, "llvm.aarch64.set.fpcr", ir.VoidType(), values[0])
        return context.get_dummy_value()

    return types.void(types.int64), generate


def _bytes(builder: Any, place: Any) -> Any:
    return builder.bitcast(place, ir.IntType(8).as_pointer())


def _call(builder: Any, name: str, returned: Any, *arguments: Any) -> Any:
    kind = ir.FunctionType(returned, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)
