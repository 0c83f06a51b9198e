"""Writes the inner loop of weight gradients with vectors of channels, as `gemm_microkernel` does."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from .emitter import Emitter

__all__ = ["weight_tile"]


@intrinsic(prefer_literal=True)
def weight_tile(
    typing_context: Any,
    sums: Any,
    sums_offset: Any,
    left: Any,
    left_offset: Any,
    left_row: Any,
    pixels: Any,
    pixels_offset: Any,
    pixels_row: Any,
    tap_row: Any,
    columns: Any,
    first_column: Any,
    rows: Any,
    count: Any,
    height: Any,
    number: Any,
    apart: Any,
    lanes: Any,
) -> Any:
    """Add to `height` by `number` vectors of sums the products of two images of pixels.

    ``sums[(i * number + j) * lanes:][:lanes]
    += Σ_{a < rows, b < count} left[a * left_row + b * lanes:][:lanes]
    · pixels[a * pixels_row + columns[first_column + b] + i * tap_row + j * apart:]``, of which a vector is
    taken if `apart` is `lanes` (channels do not mix), and if 1, one channel for all lanes.
    """
    taps, width, length = height.literal_value, number.literal_value, lanes.literal_value
    step = apart.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, signature.args[0].dtype, length)
        named = dict(zip(_ARGUMENTS, arguments, strict=True))
        data = {
            name: emit.data(kind, value)
            for (name, value), kind in zip(named.items(), signature.args, strict=True)
            if isinstance(kind, types.Array)
        }
        sums_start = emit.plus(data["sums"], named["sums_offset"])
        left_start = emit.plus(data["left"], named["left_offset"])
        columns_start = emit.plus(data["columns"], named["first_column"])
        pixels_start = emit.plus(data["pixels"], named["pixels_offset"])
        load = emit.load_broadcast if step == 1 else emit.load_vector

        def row(a: Any, row_values: list[Any]) -> list[Any]:
            left_line = emit.plus(left_start, builder.mul(a, named["left_row"]))
            line = emit.plus(pixels_start, builder.mul(a, named["pixels_row"]))
            lines = [emit.plus(line, emit.multiple(named["tap_row"], i)) for i in range(taps)]

            def pixel(b: Any, values: list[Any]) -> list[Any]:
                factor = emit.load_vector(emit.plus(left_line, emit.multiple(b, length)))
                column = builder.load(emit.plus(columns_start, b))
                places = [
                    emit.plus(start, column, emit.integer(j * step)) for start in lines for j in range(width)
                ]
                return [
                    emit.multiply_add(factor, load(place), value)
                    for place, value in zip(places, values, strict=True)
                ]

            return emit.loop(named["count"], row_values, pixel)

        totals = emit.loop(named["rows"], [emit.zero] * (taps * width), row)
        for i, total in enumerate(totals):
            place = emit.plus(sums_start, emit.integer(i * length))
            emit.store_vector(builder.fadd(emit.load_vector(place), total), place)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(
        sums, integer, left, integer, integer, pixels, integer, integer, integer, columns, integer, integer,
        integer, height, number, apart, lanes,
    ), generate  # fmt: skip


_ARGUMENTS = (
    "sums", "sums_offset", "left", "left_offset", "left_row", "pixels", "pixels_offset", "pixels_row",
    "tap_row", "columns", "first_column", "rows", "count", "height", "number", "apart", "lanes",
)  # fmt: skip
