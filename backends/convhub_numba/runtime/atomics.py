"""Reads and writes one int64 that several threads see, by its address, without locks."""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..vectors.emitter import INT64

__all__ = ["add", "load", "pause", "replace", "store", "yield_cpu"]

#: LLVM's functions that tell the core that a loop only waits, with their arguments. Other machines just spin.
PAUSES = {"x86_64": ("llvm.x86.sse2.pause", ()), "aarch64": ("llvm.aarch64.hint", (1,))}
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # other names for the same


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, INT64.as_pointer())


@intrinsic
def load(typing_context: Any, address: Any) -> Any:
    """Return the value at `address`; whatever was written before it is visible too."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load_atomic(_pointer(builder, values[0]), "seq_cst", 8)

    return types.int64(types.int64), generate


@intrinsic
def store(typing_context: Any, address: Any, value: Any) -> Any:
    """Write `value` to `address`, after all earlier writes."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store_atomic(values[1], _pointer(builder, values[0]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def add(typing_context: Any, address: Any, value: Any) -> Any:
    """Add `value` to the number at `address`, and return the previous one."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.atomic_rmw("add", _pointer(builder, values[0]), values[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def replace(typing_context: Any, address: Any, expected: Any, value: Any) -> Any:
    """Write `value` to `address` if it holds `expected`, and return whether it did."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = _pointer(builder, values[0])
        done = builder.cmpxchg(pointer, values[1], values[2], "seq_cst", "seq_cst")
        return builder.extract_value(done, 1)

    return types.boolean(types.int64, types.int64, types.int64), generate


@intrinsic
def pause(typing_context: Any) -> Any:
    """Wait for a moment, and leave the core to the thread that shares it."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        machine = platform.machine().lower()
        name, numbers = PAUSES.get(MACHINES.get(machine, machine), (None, ()))
        if name:
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(32)] * len(numbers))
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            builder.call(function, [ir.Constant(ir.IntType(32), number) for number in numbers])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def yield_cpu(typing_context: Any, function: Any) -> Any:
    """Call the system's function at this address, which lets other threads run, and takes no argument."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        function_type = ir.FunctionType(ir.IntType(32), [])
        builder.call(builder.inttoptr(values[0], function_type.as_pointer()), [])
        return context.get_dummy_value()

    return types.void(types.int64), generate
