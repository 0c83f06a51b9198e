"""Writes the inner loops of grouped layers with vectors of channels, as `gemm_microkernel` does."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .emitter import INT64, Emitter
from .half import convert_value

__all__ = ["group_tile", "hand_out_lines"]


@intrinsic(prefer_literal=True)
def group_tile(
    typing_context: Any,
    out: Any,
    out_offset: Any,
    out_step: Any,
    weights: Any,
    weights_offset: Any,
    weights_row: Any,
    weights_tap: Any,
    pixels: Any,
    pixels_offset: Any,
    pixels_row: Any,
    columns: Any,
    first_column: Any,
    rows: Any,
    taps: Any,
    channels: Any,
    bias: Any,
    accumulate: Any,
    height: Any,
    number: Any,
    lanes: Any,
) -> Any:
    """Sum `number` outputs side by side, each of `height` vectors of a group's channels.

    ``out[i * out_step:][:width] = (itself if accumulate else bias[:width])
    + Σ_{t < rows, s < taps, c < channels} weights[t * weights_row + s * weights_tap + c * width:][:width]
    · pixels[t * pixels_row + columns[s] + i * lanes + c]`` where width is ``height * lanes``.
    """
    vectors, outputs, length = height.literal_value, number.literal_value, lanes.literal_value
    width = vectors * length

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, signature.args[0].dtype, length)
        named = dict(zip(_ARGUMENTS, arguments, strict=True))
        data = {
            name: emit.data(kind, value)
            for (name, value), kind in zip(named.items(), signature.args, strict=True)
            if isinstance(kind, types.Array)
        }
        weights_start = emit.plus(data["weights"], named["weights_offset"])
        pixels_start = emit.plus(data["pixels"], named["pixels_offset"])
        columns_start = emit.plus(data["columns"], named["first_column"])

        def row(t: Any, row_sums: list[Any]) -> list[Any]:
            weight_row = emit.plus(weights_start, builder.mul(t, named["weights_row"]))
            pixels_row = emit.plus(pixels_start, builder.mul(t, named["pixels_row"]))

            def tap(s: Any, tap_sums: list[Any]) -> list[Any]:
                weight_tap = emit.plus(weight_row, builder.mul(s, named["weights_tap"]))
                start = emit.plus(pixels_row, builder.load(emit.plus(columns_start, s)))

                def channel(c: Any, sums: list[Any]) -> list[Any]:
                    weight = emit.plus(weight_tap, emit.multiple(c, width))
                    pixel = emit.plus(start, c)
                    new: list[Any] = emit.outer_product(
                        outputs,
                        vectors,
                        lambda i: emit.load_broadcast(emit.plus(pixel, emit.integer(i * length))),
                        lambda v: emit.load_vector(emit.plus(weight, emit.integer(v * length))),
                        sums,
                    )
                    return new

                return emit.loop(named["channels"], tap_sums, channel)

            return emit.loop(named["taps"], row_sums, tap)

        sums = emit.loop(named["rows"], [emit.zero] * (outputs * vectors), row)
        out_start = emit.plus(data["out"], named["out_offset"])
        places = [
            emit.plus(out_start, emit.multiple(named["out_step"], i), emit.integer(v * length))
            for i in range(outputs)
            for v in range(vectors)
        ]
        with builder.if_else(cgutils.is_not_null(builder, named["accumulate"])) as (then, otherwise):
            with then:
                for place, value in zip(places, sums, strict=True):
                    emit.store_vector(builder.fadd(emit.load_vector(place), value), place)
            with otherwise:
                constants = [
                    emit.load_vector(emit.plus(data["bias"], emit.integer(v * length)))
                    for v in range(vectors)
                ]
                for place, value, constant in zip(places, sums, constants * outputs, strict=True):
                    emit.store_vector(builder.fadd(constant, value), place)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(
        out, integer, integer, weights, integer, integer, integer, pixels, integer, integer, columns, integer,
        integer, integer, integer, bias, types.boolean, height, number, lanes,
    ), generate  # fmt: skip


_ARGUMENTS = (
    "out", "out_offset", "out_step", "weights", "weights_offset", "weights_row", "weights_tap", "pixels",
    "pixels_offset", "pixels_row", "columns", "first_column", "rows", "taps", "channels", "bias",
    "accumulate", "height", "number", "lanes",
)  # fmt: skip


@intrinsic(prefer_literal=True)
def hand_out_lines(
    typing_context: Any,
    to: Any,
    to_offset: Any,
    to_row: Any,
    source: Any,
    source_offset: Any,
    source_row: Any,
    count: Any,
    lanes: Any,
) -> Any:
    """Write the first `count` lines of a transpose: ``to[i * to_row + j] = source[i + j * source_row]``.

    Elements are narrowed if necessary; lines from `count` on are not touched.
    """
    length = lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, source.dtype, length)
        to_start = emit.plus(emit.data(signature.args[0], arguments[0]), arguments[1])
        source_start = emit.plus(emit.data(signature.args[3], arguments[3]), arguments[4])
        lines = [
            emit.load_vector(emit.plus(source_start, emit.multiple(arguments[5], j))) for j in range(length)
        ]
        for i, line in enumerate(emit.transposed(lines)):
            with builder.if_then(builder.icmp_signed(">", arguments[6], ir.Constant(INT64, i))):
                line = convert_value(builder, line, source.dtype, to.dtype)
                emit.store_vector(line, emit.plus(to_start, emit.multiple(arguments[2], i)))
        return context.get_dummy_value()

    integer = types.int64
    return types.void(to, integer, integer, source, integer, integer, integer, lanes), generate
