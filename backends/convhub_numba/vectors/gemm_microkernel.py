"""Writes the inner loops that sum a tile of outputs in registers, as intrinsics.

All offsets and strides are 64-bit and count elements; nothing is checked. Arguments that shape the code
(`rows`, `vectors`, `taps`, `number`, `lanes`) are literal integers.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .emitter import INT64, Emitter
from .half import convert_value

__all__ = ["channels_tile", "dot_rows", "gather_tile", "gemm_tile"]


@intrinsic(prefer_literal=True)
def gemm_tile(
    typing_context: Any,
    out: Any,
    out_offset: Any,
    out_row: Any,
    left: Any,
    left_offset: Any,
    left_row: Any,
    left_step: Any,
    panel: Any,
    panel_offset: Any,
    panel_row: Any,
    count: Any,
    bias: Any,
    bias_offset: Any,
    accumulate: Any,
    rows: Any,
    vectors: Any,
    lanes: Any,
) -> Any:
    """Add to a tile of `out`, `rows` by `vectors * lanes`, the product of `left` and `panel`.

    ``out[i, j] = (itself if accumulate else bias[i])
    + Σ_t left[i * left_row + t * left_step] · panel[t * panel_row + j]`` for `count` terms t.
    Sums are narrowed if `out` is narrow, which therefore must not accumulate.
    """
    height, width, length = rows.literal_value, vectors.literal_value, lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, panel.dtype, length)
        named = dict(zip(_GEMM_ARGUMENTS, arguments, strict=True))
        out_start = emit.plus(emit.data(signature.args[0], named["out"]), named["out_offset"])
        left_start = emit.plus(emit.data(signature.args[3], named["left"]), named["left_offset"])
        panel_start = emit.plus(emit.data(signature.args[7], named["panel"]), named["panel_offset"])
        bias_start = emit.plus(emit.data(signature.args[11], named["bias"]), named["bias_offset"])
        left_rows = [emit.plus(left_start, emit.multiple(named["left_row"], i)) for i in range(height)]

        def term(t: Any, values: list[Any]) -> list[Any]:
            step, sums = values[0], values[1:]
            column = emit.plus(panel_start, builder.mul(t, named["panel_row"]))
            new = emit.outer_product(
                height,
                width,
                lambda i: emit.load_broadcast(emit.plus(left_rows[i], step)),
                lambda v: emit.load_vector(emit.plus(column, emit.integer(v * length))),
                sums,
            )
            return [builder.add(step, named["left_step"]), *new]

        starts = [emit.integer(0), *[emit.zero] * (height * width)]
        sums = emit.loop(named["count"], starts, term)[1:]
        adding = cgutils.is_not_null(builder, named["accumulate"])
        for i in range(height):
            row = emit.plus(out_start, emit.multiple(named["out_row"], i))
            places = [emit.plus(row, emit.integer(v * length)) for v in range(width)]
            with builder.if_else(adding) as (then, otherwise):
                with then:
                    for v, place in enumerate(places):
                        total = builder.fadd(emit.load_vector(place), sums[i * width + v])
                        emit.store_vector(convert_value(builder, total, panel.dtype, out.dtype), place)
                with otherwise:
                    constant = emit.load_broadcast(emit.plus(bias_start, emit.integer(i)))
                    for v, place in enumerate(places):
                        total = builder.fadd(constant, sums[i * width + v])
                        emit.store_vector(convert_value(builder, total, panel.dtype, out.dtype), place)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(
        out, integer, integer, left, integer, integer, integer, panel, integer, integer,
        integer, bias, integer, types.boolean, rows, vectors, lanes,
    ), generate  # fmt: skip


_GEMM_ARGUMENTS = (
    "out", "out_offset", "out_row", "left", "left_offset", "left_row", "left_step", "panel", "panel_offset",
    "panel_row", "count", "bias", "bias_offset", "accumulate", "rows", "vectors", "lanes",
)  # fmt: skip


@intrinsic(prefer_literal=True)
def gather_tile(
    typing_context: Any,
    out: Any,
    out_offset: Any,
    places: Any,
    first_place: Any,
    out_row: Any,
    left: Any,
    left_offset: Any,
    source: Any,
    bases: Any,
    first_base: Any,
    offsets: Any,
    first_offset: Any,
    count: Any,
    bias: Any,
    bias_offset: Any,
    accumulate: Any,
    rows: Any,
    vectors: Any,
    lanes: Any,
) -> Any:
    """Like `gemm_tile`, but each vector of columns is read in place, and stored at its own place.

    ``out[places[v] + i * out_row:][:lanes] = (itself if accumulate else bias[i])
    + Σ_t left[t * rows + i] · source[bases[v] + offsets[t]:][:lanes]``. Every array is followed by the
    index or offset at which it begins. Sums are narrowed if `out` is narrow, which then must not accumulate.
    """
    height, width, length = rows.literal_value, vectors.literal_value, lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, left.dtype, length)
        named = dict(zip(_GATHER_ARGUMENTS, arguments, strict=True))
        data = {
            name: emit.data(kind, value)
            for (name, value), kind in zip(named.items(), signature.args, strict=True)
            if isinstance(kind, types.Array)
        }
        out_start = emit.plus(data["out"], named["out_offset"])
        places_start = emit.plus(data["places"], named["first_place"])
        left_start = emit.plus(data["left"], named["left_offset"])
        bases_start = emit.plus(data["bases"], named["first_base"])
        offsets_start = emit.plus(data["offsets"], named["first_offset"])
        starts = [
            emit.plus(data["source"], builder.load(emit.plus(bases_start, emit.integer(v))))
            for v in range(width)
        ]

        def term(t: Any, sums: list[Any]) -> list[Any]:
            offset = builder.load(emit.plus(offsets_start, t))
            row = emit.plus(left_start, emit.multiple(t, height))
            new: list[Any] = emit.outer_product(
                height,
                width,
                lambda i: emit.load_broadcast(emit.plus(row, emit.integer(i))),
                lambda v: emit.load_vector(emit.plus(starts[v], offset)),
                sums,
            )
            return new

        sums = emit.loop(named["count"], [emit.zero] * (height * width), term)
        places = [
            emit.plus(out_start, builder.load(emit.plus(places_start, emit.integer(v)))) for v in range(width)
        ]
        with builder.if_else(cgutils.is_not_null(builder, named["accumulate"])) as (then, otherwise):
            for branch, adding in ((then, True), (otherwise, False)):
                with branch:
                    for i in range(height):
                        constant = emit.load_broadcast(
                            emit.plus(data["bias"], named["bias_offset"], emit.integer(i))
                        )
                        for v in range(width):
                            place = emit.plus(places[v], emit.multiple(named["out_row"], i))
                            before = emit.load_vector(place) if adding else constant
                            total = builder.fadd(before, sums[i * width + v])
                            emit.store_vector(convert_value(builder, total, left.dtype, out.dtype), place)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(
        out, integer, places, integer, integer, left, integer, source, bases, integer, offsets, integer,
        integer, bias, integer, types.boolean, rows, vectors, lanes,
    ), generate  # fmt: skip


_GATHER_ARGUMENTS = (
    "out", "out_offset", "places", "first_place", "out_row", "left", "left_offset", "source", "bases",
    "first_base", "offsets", "first_offset", "count", "bias", "bias_offset", "accumulate", "rows", "vectors",
    "lanes",
)  # fmt: skip


@intrinsic(prefer_literal=True)
def dot_rows(
    typing_context: Any,
    sums: Any,
    left: Any,
    left_offset: Any,
    left_row: Any,
    right: Any,
    right_offset: Any,
    right_row: Any,
    offsets: Any,
    first: Any,
    rows: Any,
    columns: Any,
    taps: Any,
    lanes: Any,
) -> Any:
    """Add to ``sums[first + j]``, for `taps` values of j, the dot product of two images.

    ``Σ_{a < rows, b < columns} left[a * left_row + b] · right[offsets[first + j] + a * right_row + b]``.
    Lanes past the last column are never read: not even a NaN there counts.
    """
    width, length = taps.literal_value, lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, signature.args[0].dtype, length)
        left_start = emit.plus(emit.data(signature.args[1], arguments[1]), arguments[2])
        right_start = emit.plus(emit.data(signature.args[4], arguments[4]), arguments[5])
        offsets_start = emit.plus(emit.data(signature.args[7], arguments[7]), arguments[8])
        offsets_held = [builder.load(emit.plus(offsets_start, emit.integer(j))) for j in range(width)]
        whole = builder.sdiv(arguments[10], emit.integer(length))
        reached = emit.multiple(whole, length)
        mask = emit.first_lanes(builder.sub(arguments[10], reached))
        partial = builder.zext(builder.icmp_signed("<", reached, arguments[10]), INT64)

        def row(a: Any, row_sums: list[Any]) -> list[Any]:
            left_line = emit.plus(left_start, builder.mul(a, arguments[3]))
            right_line = emit.plus(right_start, builder.mul(a, arguments[6]))

            def step(b: Any, values: list[Any], load: Any) -> list[Any]:
                pixels = load(emit.plus(left_line, b))
                places = [emit.plus(right_line, b, offset) for offset in offsets_held]
                return [
                    emit.multiply_add(pixels, load(place), value)
                    for place, value in zip(places, values, strict=True)
                ]

            row_sums = emit.loop(
                whole, row_sums, lambda b, values: step(emit.multiple(b, length), values, emit.load_vector)
            )
            return emit.loop(
                partial,
                row_sums,
                lambda b, values: step(reached, values, lambda p: emit.load_masked(p, mask)),
            )

        totals = emit.loop(arguments[9], [emit.zero] * width, row)
        sums_start = emit.plus(emit.data(signature.args[0], arguments[0]), arguments[8])
        for j, total in enumerate(totals):
            place = emit.plus(sums_start, emit.integer(j))
            builder.store(builder.fadd(builder.load(place), emit.across(total)), place)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(
        sums, left, integer, integer, right, integer, integer, offsets, integer, integer, integer, taps, lanes
    ), generate


@intrinsic(prefer_literal=True)
def channels_tile(
    typing_context: Any,
    out: Any,
    out_offset: Any,
    out_step: Any,
    weights: Any,
    weights_offset: Any,
    weights_row: Any,
    pixels: Any,
    pixels_offset: Any,
    pixels_row: Any,
    columns: Any,
    first_column: Any,
    rows: Any,
    taps: Any,
    bias: Any,
    bias_offset: Any,
    accumulate: Any,
    number: Any,
    lanes: Any,
) -> Any:
    """Sum `number` outputs side by side, each a vector of channels that do not mix.

    ``out[i * out_step:][:lanes] = (itself if accumulate else bias[:lanes])
    + Σ_{t < rows, s < taps} weights[t * weights_row + s * lanes:][:lanes]
    · pixels[t * pixels_row + columns[s] + i * lanes:][:lanes]``.
    """
    width, length = number.literal_value, lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, signature.args[0].dtype, length)
        named = dict(zip(_CHANNELS_ARGUMENTS, arguments, strict=True))
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

            def tap(s: Any, sums: list[Any]) -> list[Any]:
                weight = emit.load_vector(emit.plus(weight_row, emit.multiple(s, length)))
                start = emit.plus(pixels_row, builder.load(emit.plus(columns_start, s)))
                places = [emit.plus(start, emit.integer(i * length)) for i in range(width)]
                return [
                    emit.multiply_add(weight, emit.load_vector(place), value)
                    for place, value in zip(places, sums, strict=True)
                ]

            return emit.loop(named["taps"], row_sums, tap)

        sums = emit.loop(named["rows"], [emit.zero] * width, row)
        out_start = emit.plus(data["out"], named["out_offset"])
        places = [emit.plus(out_start, emit.multiple(named["out_step"], i)) for i in range(width)]
        with builder.if_else(cgutils.is_not_null(builder, named["accumulate"])) as (then, otherwise):
            with then:
                for place, value in zip(places, sums, strict=True):
                    emit.store_vector(builder.fadd(emit.load_vector(place), value), place)
            with otherwise:
                constant = emit.load_vector(emit.plus(data["bias"], named["bias_offset"]))
                for place, value in zip(places, sums, strict=True):
                    emit.store_vector(builder.fadd(constant, value), place)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(
        out, integer, integer, weights, integer, integer, pixels, integer, integer, columns, integer,
        integer, integer, bias, integer, types.boolean, number, lanes,
    ), generate  # fmt: skip


_CHANNELS_ARGUMENTS = (
    "out", "out_offset", "out_step", "weights", "weights_offset", "weights_row", "pixels", "pixels_offset",
    "pixels_row", "columns", "first_column", "rows", "taps", "bias", "bias_offset", "accumulate", "number",
    "lanes",
)  # fmt: skip
