"""Writes inner loops that sum all phases of a row of ``dx`` from one load of ``dy``.

With a stride of 2, output column 2b + f is a sum over every second kernel column, from one that the phase f
decides; but the vectors of ``dy`` that the phases read are the same, a few columns apart. A tile holds
the vectors of all channels and phases in registers, loads each vector once for all that use it, and is
stored with its phases interleaved.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .emitter import Emitter
from .half import convert_value

__all__ = ["interleave", "phases_tile", "shared_columns"]


def shared_columns(
    S: int, step: int, first: int, dilation: int
) -> tuple[int, list[tuple[int, list[tuple[int, int]]]]]:
    """Return the least shift of a column of ``dy``, and for each shift from there on its users.

    Users are pairs (kernel column, phase): those with ``first + phase = kernel column * dilation
    + shift * step``.
    """
    users: dict[int, list[tuple[int, int]]] = {}
    for s in range(S):
        for phase in range(step):
            shift, rest = divmod(first + phase - s * dilation, step)
            if rest == 0:
                users.setdefault(shift, []).append((s, phase))
    least = min(users)
    return least, [(shift - least, users[shift]) for shift in sorted(users)]


@intrinsic(prefer_literal=True)
def phases_tile(
    typing_context: Any,
    tile: Any,
    weights: Any,
    weights_offset: Any,
    source: Any,
    bases: Any,
    first_base: Any,
    offsets: Any,
    first_offset: Any,
    count: Any,
    accumulate: Any,
    channels: Any,
    taps: Any,
    step: Any,
    first: Any,
    dilation: Any,
    vectors: Any,
    lanes: Any,
) -> Any:
    """Make or add to ``tile[channel, phase, vector, lane]`` the sums over `count` rows of kernels.

    Row t of kernels has its `taps` by `channels` weights at ``weights[t * taps * channels:]``, in the order
    in which `shared_columns` lists the taps, and meets vectors of `source`, from
    ``bases[v] + offsets[t] + shift`` on.
    """
    height, S, every = channels.literal_value, taps.literal_value, step.literal_value
    width, length = vectors.literal_value, lanes.literal_value
    _, columns = shared_columns(S, every, first.literal_value, dilation.literal_value)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, signature.args[0].dtype, length)
        tile_start = emit.data(signature.args[0], arguments[0])
        weights_start = emit.plus(emit.data(signature.args[1], arguments[1]), arguments[2])
        source_start = emit.data(signature.args[3], arguments[3])
        bases_start = emit.plus(emit.data(signature.args[4], arguments[4]), arguments[5])
        offsets_start = emit.plus(emit.data(signature.args[6], arguments[6]), arguments[7])
        starts = [
            emit.plus(source_start, builder.load(emit.plus(bases_start, emit.integer(v))))
            for v in range(width)
        ]

        def term(t: Any, sums: list[Any]) -> list[Any]:
            new, used = list(sums), 0
            offset = builder.load(emit.plus(offsets_start, t))
            row = emit.plus(weights_start, emit.multiple(t, S * height))
            for shift, users in columns:
                pixels = [
                    emit.load_vector(emit.plus(starts[v], offset, emit.integer(shift))) for v in range(width)
                ]
                for _, phase in users:
                    for c in range(height):
                        weight = emit.load_broadcast(emit.plus(row, emit.integer(used)))
                        used += 1
                        for v in range(width):
                            at = (c * every + phase) * width + v
                            new[at] = emit.multiply_add(weight, pixels[v], new[at])
            return new

        sums = emit.loop(arguments[8], [emit.zero] * (height * every * width), term)
        places = [emit.plus(tile_start, emit.integer(i * length)) for i in range(len(sums))]
        with builder.if_else(cgutils.is_not_null(builder, arguments[9])) as (then, otherwise):
            with then:
                for place, value in zip(places, sums, strict=True):
                    emit.store_vector(builder.fadd(emit.load_vector(place), value), place)
            with otherwise:
                for place, value in zip(places, sums, strict=True):
                    emit.store_vector(value, place)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(
        tile, weights, integer, source, bases, integer, offsets, integer, integer, types.boolean,
        channels, taps, step, first, dilation, vectors, lanes,
    ), generate  # fmt: skip


@intrinsic(prefer_literal=True)
def interleave(
    typing_context: Any,
    to: Any,
    to_offset: Any,
    tile: Any,
    tile_offset: Any,
    tile_row: Any,
    bias: Any,
    bias_offset: Any,
    step: Any,
    lanes: Any,
) -> Any:
    """Write ``to[b * step + phase] = bias + tile[phase * tile_row + b]`` for `lanes` values of b, narrowed.

    `step` is a power of two.
    """
    every, length = step.literal_value, lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, tile.dtype, length)
        to_start = emit.plus(emit.data(signature.args[0], arguments[0]), arguments[1])
        tile_start = emit.plus(emit.data(signature.args[2], arguments[2]), arguments[3])
        constant = emit.load_broadcast(emit.plus(emit.data(signature.args[5], arguments[5]), arguments[6]))
        lines = [
            builder.fadd(
                constant, emit.load_vector(emit.plus(tile_start, emit.multiple(arguments[4], phase)))
            )
            for phase in range(every)
        ]
        for i, line in enumerate(_interleaved(emit, lines)):
            line = convert_value(builder, line, tile.dtype, to.dtype)
            emit.store_vector(line, emit.plus(to_start, emit.integer(i * length)))
        return context.get_dummy_value()

    integer = types.int64
    return types.void(to, integer, tile, integer, integer, bias, integer, step, lanes), generate


def _interleaved(emit: Emitter, lines: list[Any]) -> list[Any]:
    """Return the vectors that hold one element of each line in turn; their number is a power of two."""
    if len(lines) == 1:
        return lines
    low = [lane // 2 + lane % 2 * emit.lanes for lane in range(emit.lanes)]
    high = [lane + emit.lanes // 2 for lane in low]
    pairs = zip(_interleaved(emit, lines[::2]), _interleaved(emit, lines[1::2]), strict=True)
    return [emit.shuffle(even, odd, lanes) for even, odd in pairs for lanes in (low, high)]
