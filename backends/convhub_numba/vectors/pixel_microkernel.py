"""Writes the inner loop that sums pixels of many channels by output channels in registers.

All offsets and strides are 64-bit and count elements; nothing is checked. Arguments that shape the code
(`rows`, `vectors`, `lanes`) are literal integers.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .. import jit
from .emitter import Emitter

__all__ = ["listed_tile", "multiply_pixels", "pixel_tile"]


@intrinsic(prefer_literal=True)
def pixel_tile(
    typing_context: Any,
    out: Any,
    out_offset: Any,
    places: Any,
    first_place: Any,
    source: Any,
    source_offset: Any,
    bases: Any,
    first_base: Any,
    offsets: Any,
    first_offset: Any,
    taps: Any,
    channels: Any,
    panel: Any,
    panel_offset: Any,
    constants: Any,
    constant_offset: Any,
    accumulate: Any,
    rows: Any,
    vectors: Any,
    lanes: Any,
) -> Any:
    """Sum `rows` pixels of `vectors * lanes` output channels over `taps` times `channels` terms.

    ``out[places[i] + k] = (itself if accumulate else constants[k])
    + Σ_t Σ_c source[bases[i] + offsets[t] + c] · panel[t, c, k]``. Every array is followed by the index or
    offset at which it begins.
    """
    height, width, length = rows.literal_value, vectors.literal_value, lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, panel.dtype, length)

        def at(index: int) -> Any:
            return emit.plus(emit.data(signature.args[index], arguments[index]), arguments[index + 1])

        out_start, places_start, source_start, bases_start = at(0), at(2), at(4), at(6)
        offsets_start, panel_start, constants_start = at(8), at(12), at(14)
        taps_count, count, adding = arguments[10], arguments[11], arguments[16]
        row_starts = [
            emit.plus(source_start, builder.load(emit.plus(bases_start, emit.integer(i))))
            for i in range(height)
        ]
        tap_items = emit.multiple(count, width * length)

        def tap(t: Any, sums: list[Any]) -> list[Any]:
            offset = builder.load(emit.plus(offsets_start, t))
            starts = [emit.plus(start, offset) for start in row_starts]
            tap_panel = emit.plus(panel_start, builder.mul(t, tap_items))

            def term(c: Any, sums: list[Any]) -> list[Any]:
                column = emit.plus(tap_panel, emit.multiple(c, width * length))
                new: list[Any] = emit.outer_product(
                    height,
                    width,
                    lambda i: emit.load_broadcast(emit.plus(starts[i], c)),
                    lambda v: emit.load_vector(emit.plus(column, emit.integer(v * length))),
                    sums,
                )
                return new

            return emit.loop(count, sums, term)

        sums = emit.loop(taps_count, [emit.zero] * (height * width), tap)
        steps = [emit.integer(v * length) for v in range(width)]
        rows_out = [
            emit.plus(out_start, builder.load(emit.plus(places_start, emit.integer(i))))
            for i in range(height)
        ]
        with builder.if_else(cgutils.is_not_null(builder, adding)) as (then, otherwise):
            with then:
                for i, row in enumerate(rows_out):
                    for v, step in enumerate(steps):
                        place = emit.plus(row, step)
                        emit.store_vector(builder.fadd(emit.load_vector(place), sums[i * width + v]), place)
            with otherwise:
                held = [emit.load_vector(emit.plus(constants_start, step)) for step in steps]
                for i, row in enumerate(rows_out):
                    for v, step in enumerate(steps):
                        total = builder.fadd(held[v], sums[i * width + v])
                        emit.store_vector(total, emit.plus(row, step))
        return context.get_dummy_value()

    integer = types.int64
    return types.void(
        out, integer, places, integer, source, integer, bases, integer, offsets, integer, integer, integer,
        panel, integer, constants, integer, types.boolean, rows, vectors, lanes,
    ), generate  # fmt: skip


@jit.part()
def multiply_pixels(
    out, out_offset, places, source, source_offset, bases, count, offsets, first_offset, taps, channels,
    panel, panel_offset, constants, constant_offset, accumulate, height, vectors, lanes,
):  # fmt: skip
    """Do what `pixel_tile` does for the first `count` pixels of the lists `places` and `bases`."""
    i = 0
    while i + height <= count:
        pixel_tile(out, out_offset, places, i, source, source_offset, bases, i, offsets, first_offset, taps,
                   channels, panel, panel_offset, constants, constant_offset, accumulate, height, vectors,
                   lanes)  # fmt: skip
        i += height
    while i + 4 <= count:
        pixel_tile(out, out_offset, places, i, source, source_offset, bases, i, offsets, first_offset, taps,
                   channels, panel, panel_offset, constants, constant_offset, accumulate, 4, vectors,
                   lanes)  # fmt: skip
        i += 4
    while i < count:
        pixel_tile(out, out_offset, places, i, source, source_offset, bases, i, offsets, first_offset, taps,
                   channels, panel, panel_offset, constants, constant_offset, accumulate, 1, vectors,
                   lanes)  # fmt: skip
        i += 1


@intrinsic(prefer_literal=True)
def listed_tile(
    typing_context: Any,
    out: Any,
    out_offset: Any,
    out_row: Any,
    source: Any,
    source_offset: Any,
    bases: Any,
    panel: Any,
    panel_offset: Any,
    count: Any,
    rows: Any,
    vectors: Any,
    lanes: Any,
) -> Any:
    """Add to `rows` channels by `vectors * lanes` output channels their products over `count` pixels.

    ``out[i * out_row + k] += Σ_t source[bases[t] + i] · panel[t, k]``. Arrays but `bases` are followed by the
    offset at which they begin.
    """
    height, width, length = rows.literal_value, vectors.literal_value, lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, panel.dtype, length)
        out_start = emit.plus(emit.data(signature.args[0], arguments[0]), arguments[1])
        source_start = emit.plus(emit.data(signature.args[3], arguments[3]), arguments[4])
        bases_start = emit.data(signature.args[5], arguments[5])
        panel_start = emit.plus(emit.data(signature.args[6], arguments[6]), arguments[7])

        def term(t: Any, sums: list[Any]) -> list[Any]:
            pixel = emit.plus(source_start, builder.load(emit.plus(bases_start, t)))
            column = emit.plus(panel_start, emit.multiple(t, width * length))
            new: list[Any] = emit.outer_product(
                height,
                width,
                lambda i: emit.load_broadcast(emit.plus(pixel, emit.integer(i))),
                lambda v: emit.load_vector(emit.plus(column, emit.integer(v * length))),
                sums,
            )
            return new

        sums = emit.loop(arguments[8], [emit.zero] * (height * width), term)
        for i in range(height):
            row = emit.plus(out_start, emit.multiple(arguments[2], i))
            for v in range(width):
                place = emit.plus(row, emit.integer(v * length))
                emit.store_vector(builder.fadd(emit.load_vector(place), sums[i * width + v]), place)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(
        out, integer, integer, source, integer, bases, panel, integer, integer, rows, vectors, lanes
    ), generate
