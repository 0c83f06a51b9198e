"""Moves vectors: intrinsics that copy, gather and transpose elements.

All offsets and strides are 64-bit and count elements; nothing is checked. Arguments that shape the code
(`rows`, `vectors`, `taps`, `number`, `lanes`) are literal integers.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from .emitter import Emitter
from .half import convert_value

__all__ = [
    "add_vector",
    "clear_vector",
    "copy_every",
    "copy_strided",
    "copy_vector",
    "pack_runs",
    "transpose_square",
    "transpose_to_places",
]


@intrinsic(prefer_literal=True)
def copy_vector(typing_context: Any, to: Any, to_offset: Any, source: Any, offset: Any, lanes: Any) -> Any:
    """Copy `lanes` elements, widened or narrowed where the two arrays differ in type."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, source.dtype, lanes.literal_value)
        value = emit.load_vector(emit.plus(emit.data(signature.args[2], arguments[2]), arguments[3]))
        value = convert_value(builder, value, source.dtype, to.dtype)
        emit.store_vector(value, emit.plus(emit.data(signature.args[0], arguments[0]), arguments[1]))
        return context.get_dummy_value()

    return types.void(to, types.int64, source, types.int64, lanes), generate


@intrinsic(prefer_literal=True)
def clear_vector(typing_context: Any, to: Any, to_offset: Any, lanes: Any) -> Any:
    """Set `lanes` elements to zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, signature.args[0].dtype, lanes.literal_value)
        emit.store_vector(emit.zero, emit.plus(emit.data(signature.args[0], arguments[0]), arguments[1]))
        return context.get_dummy_value()

    return types.void(to, types.int64, lanes), generate


@intrinsic(prefer_literal=True)
def add_vector(typing_context: Any, totals: Any, sums: Any, offset: Any, lanes: Any) -> Any:
    """Add `lanes` sums to the totals at the same place, and set them to zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, totals.dtype, lanes.literal_value)
        total, place = (emit.plus(emit.data(signature.args[i], arguments[i]), arguments[2]) for i in range(2))
        emit.store_vector(builder.fadd(emit.load_vector(total), emit.load_vector(place)), total)
        emit.store_vector(emit.zero, place)
        return context.get_dummy_value()

    return types.void(totals, totals, types.int64, lanes), generate


@intrinsic(prefer_literal=True)
def copy_strided(
    typing_context: Any, to: Any, to_offset: Any, source: Any, offset: Any, step: Any, number: Any
) -> Any:
    """Copy `number` elements that lie `step` apart to places side by side, narrowed if necessary."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, source.dtype, 1)
        to_start = emit.plus(emit.data(signature.args[0], arguments[0]), arguments[1])
        start = emit.plus(emit.data(signature.args[2], arguments[2]), arguments[3])
        for i in range(number.literal_value):
            value = builder.load(emit.plus(start, emit.multiple(arguments[4], i)))
            value = convert_value(builder, value, source.dtype, to.dtype)
            builder.store(value, emit.plus(to_start, emit.integer(i)))
        return context.get_dummy_value()

    integer = types.int64
    return types.void(to, integer, source, integer, integer, number), generate


@intrinsic(prefer_literal=True)
def copy_every(
    typing_context: Any, to: Any, to_offset: Any, source: Any, offset: Any, step: Any, part: Any, lanes: Any
) -> Any:
    """Copy every `step`-th of ``step * lanes // part`` elements, all of them read; widen if necessary."""
    every, length = step.literal_value, max(1, lanes.literal_value // part.literal_value)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, source.dtype, every * length)
        whole = emit.load_vector(emit.plus(emit.data(signature.args[2], arguments[2]), arguments[3]))
        value = emit.shuffle(whole, whole, list(range(0, every * length, every)))
        value = convert_value(builder, value, source.dtype, to.dtype)
        emit.store_vector(value, emit.plus(emit.data(signature.args[0], arguments[0]), arguments[1]))
        return context.get_dummy_value()

    return types.void(to, types.int64, source, types.int64, step, part, lanes), generate


@intrinsic(prefer_literal=True)
def copy_spread(
    typing_context: Any, to: Any, to_offset: Any, source: Any, offset: Any, step: Any, number: Any
) -> Any:
    """Copy `number` elements that lie `step` apart, widened if necessary: ``to[i] = source[i * step]``.

    `source` may be an array of any shape and strides: `offset` and `step` count from its first element.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, source.dtype, 1)
        to_start = emit.plus(emit.data(signature.args[0], arguments[0]), arguments[1])
        source_start = emit.plus(emit.data(signature.args[2], arguments[2]), arguments[3])
        for i in range(number.literal_value):
            value = builder.load(emit.plus(source_start, emit.multiple(arguments[4], i)))
            value = convert_value(builder, value, source.dtype, to.dtype)
            builder.store(value, emit.plus(to_start, emit.integer(i)))
        return context.get_dummy_value()

    return types.void(to, types.int64, source, types.int64, types.int64, number), generate


@intrinsic(prefer_literal=True)
def pack_runs(
    typing_context: Any,
    panel: Any,
    panel_row: Any,
    source: Any,
    runs: Any,
    offsets: Any,
    count: Any,
    number: Any,
    lanes: Any,
) -> Any:
    """Fill a panel from `number` runs: ``panel[t * panel_row + to:][:lanes] = source[start + offsets[t]:]``.

    Run i has its `to` and `start` at ``runs[3 * i]`` and ``runs[3 * i + 1]``; runs are copied in order.
    """
    width, length = number.literal_value, lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, signature.args[0].dtype, length)
        panel_start = emit.data(signature.args[0], arguments[0])
        source_start = emit.data(signature.args[2], arguments[2])
        runs_start = emit.data(signature.args[3], arguments[3])
        offsets_start = emit.data(signature.args[4], arguments[4])
        held = [builder.load(emit.plus(runs_start, emit.integer(i))) for i in range(3 * width)]

        def term(t: Any, values: list[Any]) -> list[Any]:
            offset = builder.load(emit.plus(offsets_start, t))
            to = emit.plus(panel_start, builder.mul(t, arguments[1]))
            for i in range(width):
                value = emit.load_vector(emit.plus(source_start, held[3 * i + 1], offset))
                emit.store_vector(value, emit.plus(to, held[3 * i]))
            return []

        emit.loop(arguments[5], [], term)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(panel, integer, source, runs, offsets, integer, number, lanes), generate


@intrinsic(prefer_literal=True)
def transpose_square(
    typing_context: Any,
    to: Any,
    to_offset: Any,
    to_row: Any,
    source: Any,
    source_offset: Any,
    offsets: Any,
    first: Any,
    lanes: Any,
) -> Any:
    """Write a `lanes` by `lanes` square transposed: ``to[i * to_row + j] = source[i + offsets[first + j]]``.

    Elements are narrowed if necessary.
    """
    length = lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, source.dtype, length)
        to_start = emit.plus(emit.data(signature.args[0], arguments[0]), arguments[1])
        source_start = emit.plus(emit.data(signature.args[3], arguments[3]), arguments[4])
        offsets_start = emit.plus(emit.data(signature.args[5], arguments[5]), arguments[6])
        lines = [
            emit.load_vector(emit.plus(source_start, builder.load(emit.plus(offsets_start, emit.integer(j)))))
            for j in range(length)
        ]
        for i, line in enumerate(emit.transposed(lines)):
            line = convert_value(builder, line, source.dtype, to.dtype)
            emit.store_vector(line, emit.plus(to_start, emit.multiple(arguments[2], i)))
        return context.get_dummy_value()

    integer = types.int64
    return types.void(to, integer, integer, source, integer, offsets, integer, lanes), generate


@intrinsic(prefer_literal=True)
def transpose_to_places(
    typing_context: Any,
    to: Any,
    places: Any,
    first_place: Any,
    source: Any,
    source_offset: Any,
    offsets: Any,
    lanes: Any,
) -> Any:
    """Write a square transposed to any rows: ``to[places[first_place + i] + j] = source[i + offsets[j]]``.

    Elements are widened if necessary. `source` may be an array of any shape, as in `copy_spread`.
    """
    length = lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, source.dtype, length)
        to_start = emit.data(signature.args[0], arguments[0])
        places_start = emit.plus(emit.data(signature.args[1], arguments[1]), arguments[2])
        source_start = emit.plus(emit.data(signature.args[3], arguments[3]), arguments[4])
        offsets_start = emit.data(signature.args[5], arguments[5])
        lines = [
            emit.load_vector(emit.plus(source_start, builder.load(emit.plus(offsets_start, emit.integer(j)))))
            for j in range(length)
        ]
        lines = [convert_value(builder, line, source.dtype, to.dtype) for line in lines]
        for i, line in enumerate(emit.transposed(lines)):
            place = builder.load(emit.plus(places_start, emit.integer(i)))
            emit.store_vector(line, emit.plus(to_start, place))
        return context.get_dummy_value()

    integer = types.int64
    return types.void(to, places, integer, source, integer, offsets, lanes), generate
