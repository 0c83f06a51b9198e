"""Applies Winograd's transforms, small constant matrices, to both sides of a rectangle of vectors.

Each lane is a separate channel. All offsets and strides count elements; nothing is checked. The axes'
schemes are literal integers, as `Scheme.encoded` makes them.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ... import jit
from ...vectors.emitter import Emitter
from .matrices import Matrix, Scheme, matrices, transposed

__all__ = ["GRADIENT", "KERNEL", "KERNEL_GRADIENT", "SOURCE", "transform_outputs", "transform_tiles"]

SOURCE, KERNEL, GRADIENT, KERNEL_GRADIENT = range(4)


def _matrix(kind: int, code: int) -> Matrix:
    """Return the matrix applied to one axis: Bᵀ, G, or for the gradient of the weight A or Gᵀ."""
    made = matrices(Scheme.decoded(code))
    return (made.source, made.weight, transposed(made.output), transposed(made.weight))[kind]


@intrinsic(prefer_literal=True)
def transform(
    typing_context: Any,
    to: Any,
    to_offset: Any,
    to_step: Any,
    source: Any,
    source_offset: Any,
    row_step: Any,
    column_step: Any,
    kind: Any,
    scheme_h: Any,
    scheme_w: Any,
    lanes: Any,
) -> Any:
    """Store ``L_h d L_wᵀ``, its elements `to_step` apart, where `kind` says what the matrices are.

    Element (i, j) of d is the vector at ``source_offset + i * row_step + j * column_step``.
    """
    left, right = (_matrix(kind.literal_value, code.literal_value) for code in (scheme_h, scheme_w))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, signature.args[0].dtype, lanes.literal_value)
        start = emit.plus(emit.data(signature.args[3], arguments[3]), arguments[4])
        place = emit.plus(emit.data(signature.args[0], arguments[0]), arguments[1])
        for row in _applied_to_loaded(emit, left, right, start, arguments[5], arguments[6]):
            for value in row:
                emit.store_vector(value, place)
                place = emit.plus(place, arguments[2])
        return context.get_dummy_value()

    integer = types.int64
    return types.void(
        to, integer, integer, source, integer, integer, integer, kind, scheme_h, scheme_w, lanes
    ), generate


@intrinsic(prefer_literal=True)
def transform_output(
    typing_context: Any,
    to: Any,
    to_offset: Any,
    row_step: Any,
    column_step: Any,
    source: Any,
    source_offset: Any,
    source_step: Any,
    bias: Any,
    bias_offset: Any,
    scheme_h: Any,
    scheme_w: Any,
    lanes: Any,
) -> Any:
    """Store ``Aᵀ m A + bias`` as pixels; return whether all of it is finite."""
    left, right = (matrices(Scheme.decoded(code.literal_value)) for code in (scheme_h, scheme_w))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, signature.args[0].dtype, lanes.literal_value)
        start = emit.plus(emit.data(signature.args[4], arguments[4]), arguments[5])
        row_of_points = emit.multiple(arguments[6], len(right.weight))
        constant = emit.load_vector(emit.plus(emit.data(signature.args[7], arguments[7]), arguments[8]))
        row_place = emit.plus(emit.data(signature.args[0], arguments[0]), arguments[1])
        doubt = emit.zero
        made = _applied_to_loaded(emit, left.output, right.output, start, row_of_points, arguments[6])
        for row in made:
            place = row_place
            for value in row:
                pixel = builder.fadd(value, constant)
                doubt = emit.multiply_add(pixel, emit.zero, doubt)  # 0, and NaN from a non-finite pixel
                emit.store_vector(pixel, place)
                place = emit.plus(place, arguments[3])
            row_place = emit.plus(row_place, arguments[2])
        total = emit.across(doubt)
        return builder.fcmp_ordered("==", total, ir.Constant(total.type, 0.0))

    integer = types.int64
    return types.boolean(
        to, integer, integer, integer, source, integer, integer, bias, integer, scheme_h, scheme_w, lanes
    ), generate


@jit.kernel()
def transform_tiles(
    to, to_offset, to_tile, to_step, source, places, count, row_step, column_step, kind, scheme_h, scheme_w,
    lanes,
):  # fmt: skip
    """Transform `count` rectangles, which begin at `places`, to places `to_tile` apart."""
    for t in range(count):
        transform(to, to_offset + t * to_tile, to_step, source, places[t], row_step, column_step, kind,
                  scheme_h, scheme_w, lanes)  # fmt: skip


@jit.kernel()
def transform_outputs(
    to, places, count, row_step, column_step, source, source_offset, source_tile, source_step, bias, scheme_h,
    scheme_w, lanes,
):  # fmt: skip
    """Transform `count` tiles back to pixels, which begin at `places`; return whether all are finite."""
    finite = True
    for t in range(count):
        at = source_offset + t * source_tile
        finite &= transform_output(to, places[t], row_step, column_step, source, at, source_step, bias, 0,
                                   scheme_h, scheme_w, lanes)  # fmt: skip
    return finite


def _applied_to_loaded(
    emit: Emitter, left: Matrix, right: Matrix, start: Any, row_step: Any, column_step: Any
) -> list[list[Any]]:
    """Return ``left · d · rightᵀ``, column after column of d loaded when it is needed."""
    columns = []
    for _ in range(len(right[0])):
        column, place = [], start
        for _ in range(len(left[0])):
            column.append(emit.load_vector(place))
            place = emit.plus(place, row_step)
        columns.append(_applied(emit, left, column))
        start = emit.plus(start, column_step)
    return [_applied(emit, right, [column[i] for column in columns]) for i in range(len(left))]


def _applied(emit: Emitter, matrix: Matrix, values: list[Any]) -> list[Any]:
    """Return ``matrix · values``; terms that the points p and -p share are computed once."""
    columns: Matrix = transposed(matrix)
    for k, mirror in _mirrored(columns):
        # The columns differ only in the sign of odd rows: even rows use the sum, odd ones the difference.
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
    rows: Matrix = transposed(columns)
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
    """Return pairs of lines that are equal at even places and opposite at odd ones, and not trivial.

    No line is in two pairs, though the phases of a stride may have the same lines.
    """
    pairs: list[tuple[int, int]] = []
    free = set(range(len(lines)))
    for k, line in enumerate(lines):
        mirror = tuple(c if i % 2 == 0 else -c for i, c in enumerate(line))
        found = [i for i in sorted(free) if i > k and lines[i] == mirror]
        if k in free and found and any(line[::2]) and any(line[1::2]):
            pairs.append((k, found[0]))
            free -= {k, found[0]}
    return pairs


def _combination(emit: Emitter, factors: tuple[Fraction, ...], values: list[Any]) -> Any:
    """Return ``Σ factor · value``, beginning with a value whose factor is 1 if there is one."""
    terms = [(factor, value) for factor, value in zip(factors, values, strict=True) if factor]
    if not terms:
        return emit.zero
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
