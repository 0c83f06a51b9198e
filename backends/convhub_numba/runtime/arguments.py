"""Passes Python's values to kernels of any types by one compiled function.

Numba's own wrappers are compiled for each combination of types, and take as long to compile as a small
kernel. Here `unpack` writes a tuple of arrays and integers into a block of memory as a table says, which
`layout_of` makes for a kernel; and `call_with_block`, a few instructions for each combination of types, calls
the kernel with what it reads there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.callconv import RETCODE_EXC
from numba.extending import intrinsic

from convhub.backend import Array

from ..vectors.emitter import INT64
from .calls import native_call

__all__ = ["BLOCK_ITEMS", "ROWS", "call_with_block", "kinds_of", "layout_of", "stack_memory", "unpack"]

#: The most numbers that a block can hold; the first is the number of rows of each array of scratch memory.
BLOCK_ITEMS, ROWS = 512, 0

#: What the table says of an item: that it is an integer, or an array of that many dimensions; from TUPLE on,
#: a tuple of so many integers.
INTEGER, TUPLE = 0, 100


def _items(kind: Any) -> int:
    """Return how many numbers of a block a value takes: Numba's descriptor of an array has 5, and 2 each."""
    if isinstance(kind, types.Array):
        return int(5 + 2 * kind.ndim)
    return len(kind) if isinstance(kind, types.BaseTuple) else 1


def _places(kinds: tuple[Any, ...]) -> Iterator[int]:
    at = ROWS + 1
    for kind in kinds:
        yield at
        at += _items(kind)
    if at > BLOCK_ITEMS:
        raise ValueError(f"a kernel's arguments take {at} numbers, and {BLOCK_ITEMS} is the most")


def layout_of(kinds: tuple[Any, ...]) -> Array:
    """Return the table for arguments of these types: how many they are, then what and where each is."""
    table = [len(kinds)]
    for kind, place in zip(kinds, _places(kinds), strict=True):
        if isinstance(kind, types.Array):
            table += [kind.ndim, place]
        else:
            table += [TUPLE + len(kind) if isinstance(kind, types.BaseTuple) else INTEGER, place]
    return np.array(table, np.int64)


def kinds_of(scratch: tuple[Any, ...], arguments: tuple[Any, ...]) -> Any:
    """Return the type that tells `call_with_block` how to call a kernel."""
    plain = (types.Tuple(tuple(map(types.unliteral, kinds))) for kinds in (scratch, arguments))
    return types.TypeRef(types.Tuple(tuple(plain)))


@intrinsic(prefer_literal=True)
def stack_memory(typing_context: Any, number: Any) -> Any:
    """Return the address of memory for a literal `number` of int64, which lasts until the caller returns."""
    length = number.literal_value

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.ptrtoint(cgutils.alloca_once(builder, ir.ArrayType(INT64, length)), INT64)

    return types.int64(number), generate


@intrinsic
def unpack(typing_context: Any, items: Any, layout: Any, block: Any) -> Any:
    """Write the items of the Python tuple at an address to a block, as the table at `layout` says.

    The caller holds Python's lock, and keeps the items alive as long as the block is used. Leaves the calling
    function with Python's error where an item cannot be read.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        python = context.get_python_api(builder)
        items = builder.inttoptr(values[0], python.pyobj)
        table, block = _numbers(builder, values[1]), _numbers(builder, values[2])
        get_item = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(python.pyobj, [python.pyobj, INT64]), "PyTuple_GetItem"
        )
        adapt = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.IntType(32), [python.pyobj, cgutils.voidptr_t]),
            "numba_adapt_ndarray",
        )

        def number(at: Any) -> Any:
            return builder.load(builder.gep(table, [at]))

        one = ir.Constant(INT64, 1)
        with cgutils.for_range(builder, builder.load(table)) as loop:
            entry = builder.add(builder.shl(loop.index, one), one)
            what, to = number(entry), builder.gep(block, [number(builder.add(entry, one))])
            item = builder.call(get_item, [items, loop.index])
            with builder.if_else(builder.icmp_signed(">=", what, ir.Constant(INT64, TUPLE))) as (
                many,
                single,
            ):
                with many:
                    length = builder.sub(what, ir.Constant(INT64, TUPLE))
                    with cgutils.for_range(builder, length) as inner:
                        each = builder.call(get_item, [item, inner.index])
                        builder.store(python.long_as_longlong(each), builder.gep(to, [inner.index]))
                with single:
                    whole = builder.icmp_signed("==", what, ir.Constant(INT64, INTEGER))
                    with builder.if_else(whole) as (integer, array):
                        with integer:
                            builder.store(python.long_as_longlong(item), to)
                        with array:
                            builder.call(adapt, [item, builder.bitcast(to, cgutils.voidptr_t)])
        with cgutils.if_unlikely(builder, cgutils.is_not_null(builder, python.err_occurred())):
            builder.ret(RETCODE_EXC)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


def _numbers(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, INT64.as_pointer())


@intrinsic
def call_with_block(
    typing_context: Any, kernel: Any, block: Any, first: Any, last: Any, row: Any, watch: Any, kinds: Any
) -> Any:
    """Call a kernel with what a block holds; return whether it failed. See `team.run_kernel`."""
    scratch, arguments = (tuple(group) for group in kinds.instance_type.types)
    called = (types.int64, types.int64, *scratch, *arguments)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kernel, block, first, last, row, watch, _ = values
        numbers = _numbers(builder, block)
        given = [first, last]
        for i, (kind, place) in enumerate(
            zip(scratch + arguments, _places(scratch + arguments), strict=True)
        ):
            value = _read(context, builder, kind, numbers, place)
            if i < len(scratch):
                is_array = isinstance(kind, types.Array)
                value = _row(context, builder, kind, value, builder.load(numbers), row) if is_array else watch
            given.append(value)
        status, _ = native_call(context, builder, kernel, types.none, called, given)
        return status.is_error

    return types.boolean(*[types.int64] * 6, kinds), generate


def _read(context: Any, builder: Any, kind: Any, numbers: Any, place: int) -> Any:
    """Return the value of a type that `unpack` has written."""
    at = cgutils.gep_inbounds(builder, numbers, place)
    if isinstance(kind, types.Array):
        return builder.load(builder.bitcast(at, context.get_value_type(kind).as_pointer()))
    if isinstance(kind, types.BaseTuple):
        items = [builder.load(cgutils.gep_inbounds(builder, at, i)) for i in range(len(kind))]
        return context.make_tuple(builder, kind, items)
    number = builder.load(at)
    return cgutils.is_not_null(builder, number) if kind == types.boolean else number


def _row(context: Any, builder: Any, kind: Any, array: Any, rows: Any, row: Any) -> Any:
    """Return a row of a one-dimensional array that holds several."""
    view = context.make_array(kind)(context, builder, array)
    items = builder.sdiv(view.nitems, rows)
    view.data = builder.gep(view.data, [builder.mul(items, row)])
    view.nitems = items
    view.shape = cgutils.pack_array(builder, [items])
    return view._getvalue()
