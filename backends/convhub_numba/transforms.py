"""Winograd's transforms: intrinsics that apply a small constant matrix to both sides of a square of vectors.

Each lane is a square of its own: a tile of the source, a tile of the output, or an output channel's kernel.
All offsets and strides count elements; nothing is checked. `outputs` and `taps` are literal integers, the
sides of a tile and of the kernel.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .vector_ir import Emitter
from .winograd_matrices import Matrix, matrices

__all__ = ["gather_squares", "transform_output", "transform_source", "transform_weight"]


@intrinsic(prefer_literal=True)
def gather_squares(
    typing_context: Any,
    panel: Any,
    panel_row: Any,
    source: Any,
    runs: Any,
    first_run: Any,
    run_count: Any,
    offsets: Any,
    outputs: Any,
    taps: Any,
    lanes: Any,
) -> Any:
    """Copy the pixels of tiles: ``panel[e * panel_row + to:][:lanes] = source[start + offsets[e]:][:lanes]``.

    The runs are those of `pack.list_runs`, from number `first_run` on; e counts the square's elements. Runs
    are copied in order, and a row of the panel has room for a vector more than them.
    """
    terms, length = (outputs.literal_value + taps.literal_value - 1) ** 2, lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, signature.args[0].dtype, length)
        panel_start = emit.data(signature.args[0], arguments[0])
        source_start = emit.data(signature.args[2], arguments[2])
        runs_start = emit.plus(emit.data(signature.args[3], arguments[3]), emit.multiple(arguments[4], 3))
        offsets_start = emit.data(signature.args[6], arguments[6])

        def run(i: Any, values: list[Any]) -> list[Any]:
            place = emit.plus(runs_start, emit.multiple(i, 3))
            to = emit.plus(panel_start, builder.load(place))
            start = emit.plus(source_start, builder.load(emit.plus(place, emit.int(1))))
            for t in range(terms):
                offset = builder.load(emit.plus(offsets_start, emit.int(t)))
                emit.store_vector(emit.load_vector(emit.plus(start, offset)), to)
                to = emit.plus(to, arguments[1])
            return []

        emit.loop(arguments[5], [], run)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(panel, integer, source, runs, integer, integer, offsets, outputs, taps, lanes), generate


@intrinsic(prefer_literal=True)
def transform_source(
    typing_context: Any,
    to: Any,
    to_offset: Any,
    to_step: Any,
    source: Any,
    source_offset: Any,
    source_step: Any,
    outputs: Any,
    taps: Any,
    lanes: Any,
) -> Any:
    """Store ``Bᵀ d B``: element e of the square is at ``source_offset + e * source_step``, each a vector."""
    sides = outputs.literal_value, taps.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, signature.args[0].dtype, lanes.literal_value)
        matrix = matrices(*sides).source
        start = emit.plus(emit.data(signature.args[3], arguments[3]), arguments[4])
        square = _load_square(emit, start, arguments[5], len(matrix))
        place = emit.plus(emit.data(signature.args[0], arguments[0]), arguments[1])
        for row in _both_sides(emit, matrix, square):
            for value in row:
                emit.store_vector(value, place)
                place = emit.plus(place, arguments[2])
        return context.get_dummy_value()

    integer = types.int64
    return types.void(to, integer, integer, source, integer, integer, outputs, taps, lanes), generate


@intrinsic(prefer_literal=True)
def transform_weight(
    typing_context: Any,
    to: Any,
    to_offset: Any,
    to_step: Any,
    piece_step: Any,
    source: Any,
    source_offset: Any,
    source_step: Any,
    outputs: Any,
    taps: Any,
    piece: Any,
    lanes: Any,
) -> Any:
    """Store ``G g Gᵀ``, each vector in pieces of `piece` lanes (all, if that is less), `piece_step` apart."""
    sides = outputs.literal_value, taps.literal_value
    length = lanes.literal_value
    part = min(piece.literal_value, length)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, signature.args[0].dtype, length)
        start = emit.plus(emit.data(signature.args[4], arguments[4]), arguments[5])
        square = _load_square(emit, start, arguments[6], sides[1])
        place = emit.plus(emit.data(signature.args[0], arguments[0]), arguments[1])
        for row in _both_sides(emit, matrices(*sides).weight, square):
            for value in row:
                to_piece = place
                for first in range(0, length, part):
                    emit.store_vector(emit.shuffle(value, value, list(range(first, first + part))), to_piece)
                    to_piece = emit.plus(to_piece, arguments[3])
                place = emit.plus(place, arguments[2])
        return context.get_dummy_value()

    integer = types.int64
    return types.void(
        to, integer, integer, integer, source, integer, integer, outputs, taps, piece, lanes
    ), generate


@intrinsic(prefer_literal=True)
def transform_output(
    typing_context: Any,
    to: Any,
    to_offset: Any,
    to_row: Any,
    source: Any,
    source_offset: Any,
    source_step: Any,
    bias: Any,
    bias_offset: Any,
    outputs: Any,
    taps: Any,
    lanes: Any,
) -> Any:
    """Store ``Aᵀ m A + bias`` as rows of pixels, tile beside tile; return whether all of it is finite."""
    sides = outputs.literal_value, taps.literal_value
    length = lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, signature.args[0].dtype, length)
        matrix = matrices(*sides).output
        start = emit.plus(emit.data(signature.args[3], arguments[3]), arguments[4])
        square = _load_square(emit, start, arguments[5], len(matrix[0]))
        constant = emit.load_broadcast(emit.plus(emit.data(signature.args[6], arguments[6]), arguments[7]))
        place = emit.plus(emit.data(signature.args[0], arguments[0]), arguments[1])
        doubt = emit.zero
        for row in _both_sides(emit, matrix, square):
            pixels = [builder.fadd(value, constant) for value in row]
            for value in pixels:
                doubt = emit.multiply_add(value, emit.zero, doubt)  # 0, and NaN from what is not finite
            for v, vector in enumerate(_interleaved(emit, pixels)):
                emit.store_vector(vector, emit.plus(place, emit.int(v * length)))
            place = emit.plus(place, arguments[2])
        total = emit.across(doubt)
        return builder.fcmp_ordered("==", total, ir.Constant(total.type, 0.0))

    integer = types.int64
    return types.boolean(
        to, integer, integer, source, integer, integer, bias, integer, outputs, taps, lanes
    ), generate


def _load_square(emit: Emitter, start: Any, step: Any, side: int) -> list[list[Any]]:
    square = []
    for _ in range(side):
        row = []
        for _ in range(side):
            row.append(emit.load_vector(start))
            start = emit.plus(start, step)
        square.append(row)
    return square


def _both_sides(emit: Emitter, matrix: Matrix, square: list[list[Any]]) -> list[list[Any]]:
    """Return ``matrix · square · matrixᵀ``."""
    columns = [_applied(emit, matrix, [row[j] for row in square]) for j in range(len(square))]
    return [_applied(emit, matrix, [column[i] for column in columns]) for i in range(len(matrix))]


def _applied(emit: Emitter, matrix: Matrix, values: list[Any]) -> list[Any]:
    """Return ``matrix · values``; what the points p and -p have in common is computed once."""
    columns: Matrix = tuple(zip(*matrix, strict=True))
    for k, mirror in _mirrored(columns):
        # Columns alike but for the sign of odd rows: even rows see the sum, odd ones the difference.
        plus, minus = (
            emit.builder.fadd(values[k], values[mirror]),
            emit.builder.fsub(values[k], values[mirror]),
        )
        values = [*values, plus, minus]
        columns = (
            *columns,
            tuple(c if i % 2 == 0 else Fraction(0) for i, c in enumerate(columns[k])),
            tuple(c if i % 2 else Fraction(0) for i, c in enumerate(columns[k])),
        )
        nothing = (Fraction(0),) * len(matrix)
        columns = tuple(nothing if i in (k, mirror) else column for i, column in enumerate(columns))
    rows: Matrix = tuple(zip(*columns, strict=True))
    results: list[Any] = [None] * len(rows)
    for k, mirror in _mirrored(rows):
        even = _combination(emit, rows[k][::2], values[::2])
        odd = _combination(emit, rows[k][1::2], values[1::2])
        results[k], results[mirror] = emit.builder.fadd(even, odd), emit.builder.fsub(even, odd)
    return [
        _combination(emit, row, values) if result is None else result
        for row, result in zip(rows, results, strict=True)
    ]


def _mirrored(lines: Matrix) -> list[tuple[int, int]]:
    """Return the pairs of lines that are equal at even places and opposite at odd ones, and not trivial."""
    pairs = []
    for k, line in enumerate(lines):
        mirror = tuple(c if i % 2 == 0 else -c for i, c in enumerate(line))
        if any(line[::2]) and any(line[1::2]) and mirror in lines[k + 1 :]:
            pairs.append((k, lines.index(mirror, k + 1)))
    return pairs


def _combination(emit: Emitter, factors: tuple[Fraction, ...], values: list[Any]) -> Any:
    """Return ``Σ factor · value``, beginning with a value that is taken as it is if there is one."""
    terms = [(factor, value) for factor, value in zip(factors, values, strict=True) if factor]
    terms.sort(key=lambda term: term[0] != 1)
    factor, total = terms[0]
    if factor != 1:
        total = emit.builder.fmul(emit.constant(float(factor)), total)
    for factor, value in terms[1:]:
        if factor == 1:
            total = emit.builder.fadd(total, value)
        elif factor == -1:
            total = emit.builder.fsub(total, value)
        else:
            total = emit.multiply_add(emit.constant(float(factor)), value, total)
    return total


def _interleaved(emit: Emitter, columns: list[Any]) -> list[Any]:
    """Return the pixels of all lanes one after another: lane 0 of each column, then lane 1, and so on."""
    length = emit.lanes
    while len(columns) > 1:
        half = len(columns) // 2
        pairs = [
            emit.shuffle(columns[i], columns[i + half], [i // 2 + i % 2 * length for i in range(2 * length)])
            for i in range(half)
        ]
        columns, length = pairs, 2 * length
    (whole,) = columns
    return [
        emit.shuffle(whole, whole, list(range(first, first + emit.lanes)))
        for first in range(0, length, emit.lanes)
    ]
