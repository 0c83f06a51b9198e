"""Writes inner loops of dot products: some rows of one side with some shifted rows of the other."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from .emitter import INT64, Emitter

__all__ = ["add_across", "dot_tile", "dot_totals"]


def _products(
    emit: Emitter, named: dict[str, Any], kinds: dict[str, Any], number: int, width: int
) -> list[Any]:
    """Emit the loops over the pixels of two images; return a vector for each channel and tap.

    Where there are fewer channels than `number`, the last is repeated.
    """
    builder = emit.builder
    left_start = emit.plus(emit.data(kinds["left"], named["left"]), named["left_offset"])
    right_start = emit.plus(emit.data(kinds["right"], named["right"]), named["right_offset"])
    offsets_start = emit.plus(emit.data(kinds["offsets"], named["offsets"]), named["first"])
    shifted = [
        emit.plus(right_start, builder.load(emit.plus(offsets_start, emit.integer(j)))) for j in range(width)
    ]
    last = builder.sub(named["channels"], emit.integer(1))
    channels = []
    for i in range(number):
        inside = builder.icmp_signed("<", emit.integer(i), last)
        channel = builder.select(inside, emit.integer(i), last)
        channels.append(emit.plus(left_start, builder.mul(named["left_channel"], channel)))
    whole = builder.sdiv(named["columns"], emit.integer(emit.lanes))
    reached = emit.multiple(whole, emit.lanes)
    mask = emit.first_lanes(builder.sub(named["columns"], reached))
    partial = builder.zext(builder.icmp_signed("<", reached, named["columns"]), INT64)

    def row(a: Any, row_sums: list[Any]) -> list[Any]:
        left_at, right_at = builder.mul(a, named["left_row"]), builder.mul(a, named["right_row"])

        def step(b: Any, values: list[Any], load: Any) -> list[Any]:
            new: list[Any] = list(values)
            held = [load(emit.plus(channel, left_at, b)) for channel in channels]
            for j in range(width):
                pixels = load(emit.plus(shifted[j], right_at, b))
                for i in range(number):
                    new[i * width + j] = emit.multiply_add(held[i], pixels, new[i * width + j])
            return new

        row_sums = emit.loop(
            whole, row_sums, lambda b, values: step(emit.multiple(b, emit.lanes), values, emit.load_vector)
        )
        return emit.loop(
            partial,
            row_sums,
            lambda b, values: step(reached, values, lambda p: emit.load_masked(p, mask)),
        )

    products: list[Any] = emit.loop(named["rows"], [emit.zero] * (number * width), row)
    return products


@intrinsic(prefer_literal=True)
def dot_tile(
    typing_context: Any,
    sums: Any,
    sums_offset: Any,
    sums_row: Any,
    left: Any,
    left_offset: Any,
    channels: Any,
    left_channel: Any,
    left_row: Any,
    right: Any,
    right_offset: Any,
    right_row: Any,
    offsets: Any,
    first: Any,
    rows: Any,
    columns: Any,
    height: Any,
    taps: Any,
    part: Any,
    lanes: Any,
) -> Any:
    """Add, lane by lane, to vector `j` of row `i` of `sums` the products of two images.

    For `height` values of i and ``taps // part`` of j:
    ``Σ_{a < rows, b < columns} left[i * left_channel + a * left_row + b]
    · right[offsets[first + j] + a * right_row + b]`` with b in lane ``b % lanes``. Each vector of either side
    is loaded once for all that it meets. Lanes past the last column are never read.
    """
    number, length = height.literal_value, lanes.literal_value
    width = taps.literal_value // part.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, signature.args[0].dtype, length)
        named = dict(zip(_ARGUMENTS, arguments, strict=True))
        kinds = dict(zip(_ARGUMENTS, signature.args, strict=True))
        totals = _products(emit, named, kinds, number, width)
        sums_start = emit.plus(emit.data(kinds["sums"], named["sums"]), named["sums_offset"])
        for i in range(number):
            line = emit.plus(sums_start, emit.multiple(named["sums_row"], i))
            for j in range(width):
                place = emit.plus(line, emit.integer(j * length))
                emit.store_vector(builder.fadd(emit.load_vector(place), totals[i * width + j]), place)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(
        sums, integer, integer, left, integer, integer, integer, integer, right, integer, integer, offsets,
        integer, integer, integer, height, taps, part, lanes,
    ), generate  # fmt: skip


_ARGUMENTS = (
    "sums", "sums_offset", "sums_row", "left", "left_offset", "channels", "left_channel", "left_row", "right",
    "right_offset", "right_row", "offsets", "first", "rows", "columns", "height", "taps", "part",
    "lanes",
)  # fmt: skip


@intrinsic(prefer_literal=True)
def dot_totals(
    typing_context: Any,
    sums: Any,
    sums_offset: Any,
    left: Any,
    left_offset: Any,
    channels: Any,
    left_channel: Any,
    left_row: Any,
    right: Any,
    right_offset: Any,
    right_row: Any,
    offsets: Any,
    first: Any,
    rows: Any,
    columns: Any,
    height: Any,
    taps: Any,
    lanes: Any,
) -> Any:
    """Like `dot_tile`, but the lanes are added up: ``sums[i * taps + j]``, up to a multiple of `lanes`."""
    number, width, length = height.literal_value, taps.literal_value, lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, signature.args[0].dtype, length)
        names = [name for name in _ARGUMENTS if name not in ("sums_row", "part")]
        named = dict(zip(names, arguments, strict=True))
        kinds = dict(zip(names, signature.args, strict=True))
        products = _products(emit, named, kinds, number, width)
        products += [emit.zero] * (-len(products) % length)
        sums_start = emit.plus(emit.data(kinds["sums"], named["sums"]), named["sums_offset"])
        for i in range(0, len(products), length):
            place = emit.plus(sums_start, emit.integer(i))
            total = _across_each(emit, products[i : i + length])
            emit.store_vector(builder.fadd(emit.load_vector(place), total), place)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(
        sums, integer, left, integer, integer, integer, integer, right, integer, integer, offsets,
        integer, integer, integer, height, taps, lanes,
    ), generate  # fmt: skip


def _across_each(emit: Emitter, lines: list[Any]) -> Any:
    """Return a vector whose lane i is the sum of the lanes of line i; there is one line for each lane.

    At each stage two lines become one: in each pair of runs of `run` lanes, the first run holds sums of one
    line, the second those of the other.
    """
    held = [(line, [i] * emit.lanes) for i, line in enumerate(lines)]
    run = emit.lanes // 2
    while run:
        starts = range(0, emit.lanes, 2 * run)
        upper = [k + i + side for k in starts for side in (0, emit.lanes) for i in range(run)]
        lower = [lane + run for lane in upper]
        merged = []
        for (one, lines_of_one), (other, lines_of_other) in zip(held[::2], held[1::2], strict=True):
            value = emit.builder.fadd(emit.shuffle(one, other, upper), emit.shuffle(one, other, lower))
            merged.append((value, [(lines_of_one + lines_of_other)[lane] for lane in upper]))
        held, run = merged, run // 2
    ((value, order),) = held
    return emit.shuffle(value, value, [order.index(i) for i in range(emit.lanes)])


@intrinsic(prefer_literal=True)
def add_across(
    typing_context: Any, totals: Any, first: Any, sums: Any, first_sum: Any, count: Any, lanes: Any
) -> Any:
    """Add to each of `count` totals the lanes of a vector of `sums`, which is set to zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, totals.dtype, lanes.literal_value)
        totals_start = emit.plus(emit.data(signature.args[0], arguments[0]), arguments[1])
        sums_start = emit.plus(emit.data(signature.args[2], arguments[2]), arguments[3])

        def step(i: Any, values: list[Any]) -> list[Any]:
            total, vector = emit.plus(totals_start, i), emit.plus(sums_start, emit.multiple(i, emit.lanes))
            builder.store(builder.fadd(builder.load(total), emit.across(emit.load_vector(vector))), total)
            emit.store_vector(emit.zero, vector)
            return []

        emit.loop(arguments[4], [], step)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(totals, integer, sums, integer, integer, lanes), generate
