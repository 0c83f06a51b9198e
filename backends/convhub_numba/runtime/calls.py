"""Calls one kernel's machine code from another by its address.

A kernel with the varying part as a literal, and little else, compiles in a moment. A kernel with the rest
calls it by address, and is compiled once for all of them.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["call", "call_for_flag", "call_without_lock", "native_call"]


@intrinsic
def call(typing_context: Any, address: Any, arguments: Any) -> Any:
    """Call the function at `address`, which returns nothing, with a tuple of arguments."""
    return types.void(address, arguments), _calling(types.none, arguments)


@intrinsic
def call_for_flag(typing_context: Any, address: Any, arguments: Any) -> Any:
    """Call the function at `address`, which returns a boolean, with a tuple of arguments."""
    return types.boolean(address, arguments), _calling(types.boolean, arguments)


@intrinsic
def call_without_lock(typing_context: Any, address: Any, arguments: Any) -> Any:
    """Call the function at `address`, which returns a boolean, while other threads may run Python."""
    return types.boolean(address, arguments), _calling(types.boolean, arguments, gives_lock=True)


def _calling(returned: Any, arguments: Any, gives_lock: bool = False) -> Any:
    # Literal integers are passed as any others.
    kinds = tuple(types.unliteral(kind) for kind in arguments.types)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        items = cgutils.unpack_tuple(builder, values[1])
        python = context.get_python_api(builder)
        state = python.save_thread() if gives_lock else None
        status, result = native_call(context, builder, values[0], returned, kinds, items)
        if gives_lock:
            python.restore_thread(state)
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return context.get_dummy_value() if returned is types.none else result

    return generate


def native_call(context: Any, builder: Any, address: Any, returned: Any, kinds: Any, values: Any) -> Any:
    """Call the function at `address` as Numba's functions call each other; return its status and result."""
    function_type = context.call_conv.get_function_type(returned, kinds)
    function = builder.inttoptr(address, function_type.as_pointer())
    return context.call_conv.call_function(builder, function, returned, kinds, values)
