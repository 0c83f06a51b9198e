"""Applies Winograd's transforms, small constant matrices, to both sides of a rectangle of vectors.

Each lane is a separate channel. All offsets and strides count elements; nothing is checked. The axes'
schemes are literal integers, as `Scheme.encoded` makes them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ... import jit
from ...vectors.emitter import Emitter
from .matrices import Matrix, Scheme, is_exact, matrices, transposed

__all__ = ["GRADIENT", "KERNEL", "KERNEL_GRADIENT", "SOURCE", "transform_outputs", "transform_tiles"]

SOURCE, KERNEL, GRADIENT, KERNEL_GRADIENT = range(4)


def _matrix(kind: int, code: int) -> Matrix:
    """Return the matrix applied to one axis: Bᵀ, G, or for the gradient of the weight A or Gᵀ."""
    made = matrices(Scheme.decoded(code))
    return (made.source, made.weight, transposed(made.output), made.to_weight)[kind]


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
        for row in _applied_to_loaded(
            emit, left, right, start, arguments[5], arguments[6], kind.literal_value == SOURCE
        ):
            for value in row:
                emit.store_vector(value.multiplied(emit), place)
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
        made = _applied_to_loaded(emit, left.to_outputs, right.to_outputs, start, row_of_points, arguments[6])
        for row in made:
            place = row_place
            for value in row:
                pixel = value.plus(emit, constant)
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
    emit: Emitter,
    left: Matrix,
    right: Matrix,
    start: Any,
    row_step: Any,
    column_step: Any,
    of_source: bool = False,
) -> list[list[Multiple]]:
    """Return ``left · d · rightᵀ``, column after column of d loaded when it is needed."""

    def column(j: int) -> list[Any]:
        place, values = emit.plus(start, *[column_step] * j), []
        for _ in range(len(left[0])):
            values.append(emit.load_vector(place))
            place = emit.plus(place, row_step)
        return values

    return applied_to_both(emit, left, right, column, of_source)


def applied_to_both(
    emit: Emitter,
    left: Matrix,
    right: Matrix,
    column: Callable[[int], list[Any]],
    of_source: bool = False,
) -> list[list[Multiple]]:
    """Return ``left · d · rightᵀ`` where ``column(j)`` is a column of d.

    The factor that a row of the left matrix leaves to the end is left to the very end. `of_source` says that
    the matrices are those of the source, which are to transform constants exactly.
    """
    columns = [_applied(emit, left, column(j), of_source) for j in range(len(right[0]))]
    rows = []
    for i in range(len(left)):
        row = _applied(emit, right, [made[i].value for made in columns], of_source)
        rows.append([made._replace(factor=made.factor * columns[0][i].factor) for made in row])
    return rows


def _applied(emit: Emitter, matrix: Matrix, values: list[Any], of_source: bool = False) -> list[Multiple]:
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
    results: dict[int, Multiple] = {}
    for k, mirror in _mirrored(rows):
        even = _combination(emit, rows[k][::2], values[::2])
        odd = _combination(emit, rows[k][1::2], values[1::2])
        results[k], results[mirror] = _sum_and_difference(emit, even, odd)
    if of_source and not results and all(sum(row) in (0, 1) for row in rows):
        return _by_differences(emit, rows, values)
    return [results[k] if k in results else _combination(emit, row, values) for k, row in enumerate(rows)]


def _by_differences(emit: Emitter, rows: Matrix, values: list[Any]) -> list[Multiple]:
    """Return ``rows · values`` for rows whose sum is 1 or 0, which give just that for a constant.

    They are made of differences of neighbours, and of one value where the sum is 1, as it is for the point 1.
    """
    differences: dict[tuple[int, int], Any] = {}
    results = []
    for row in rows:
        places = [k for k, factor in enumerate(row) if factor]
        if len(places) < 3:
            results.append(_combination(emit, row, values))
            continue
        middle = max(places, key=lambda k: abs(row[k])) if sum(row) else places[-1]
        total, before = sum(row, Fraction(0)), Fraction(0)
        factors, terms = [total], [values[middle]]
        for low, high in itertools.pairwise(places):
            before += row[low]
            if (low, high) not in differences:
                differences[low, high] = emit.builder.fsub(values[high], values[low])
            factors.append(-before if low < middle else total - before)
            terms.append(differences[low, high])
        results.append(_combination(emit, tuple(factors), terms))
    return results


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


class Multiple(NamedTuple):
    """A value that is still to be multiplied by a factor."""

    factor: Fraction
    value: Any

    def multiplied(self, emit: Emitter) -> Any:
        """Return the product."""
        if self.factor == 1:
            return self.value
        factor, value = self._split(emit)
        return emit.builder.fmul(emit.constant(float(factor)), value)

    def plus(self, emit: Emitter, addend: Any) -> Any:
        """Return the product plus another value."""
        if self.factor == 1:
            return emit.builder.fadd(self.value, addend)
        factor, value = self._split(emit)
        return emit.multiply_add(emit.constant(float(factor)), value, addend)

    def _split(self, emit: Emitter) -> tuple[Fraction, Any]:
        """Return a factor and a value with the same product, which is exact where it can be."""
        odd = odd_divisor(self.factor, 24 if emit.element == ir.FloatType() else 53)
        value = self.value if odd == 1 else emit.builder.fmul(emit.constant(float(odd)), self.value)
        return self.factor / odd, value


def odd_divisor(factor: Fraction, bits: int) -> int:
    """Return a small odd number by which to divide a factor so that it is rounded by little.

    Where the rounded factor errs by no more than ``2 ** -(bits + 1)`` of itself, its product with an exact
    multiple of the denominator rounds to the exact quotient, for this has no other number of `bits` bits as
    near. Of every few factors one errs by more.

    Examples
    --------
    >>> odd_divisor(Fraction(1, 585), 24), odd_divisor(Fraction(1, 195), 24)
    (1, 3)
    """
    for odd in (1, 3, 5, 7, 9, 11, 13, 15):
        divided = factor / odd
        if abs(rounded(divided, bits) / divided - 1) <= Fraction(1, 2 ** (bits + 1)):
            return odd
    return 1


def rounded(value: Fraction, bits: int) -> Fraction:
    """Return the number of `bits` bits nearest to a fraction, within the usual range of exponents."""
    numerator, denominator = abs(value.numerator), value.denominator
    shift = bits - numerator.bit_length() + denominator.bit_length()
    unit = Fraction(2) ** -shift
    if value and abs(value) / unit >= 2**bits:
        unit *= 2
    return round(value / unit) * unit


def _sum_and_difference(emit: Emitter, even: Multiple, odd: Multiple) -> tuple[Multiple, Multiple]:
    """Return ``even + odd`` and ``even - odd``."""
    if even.factor == odd.factor == 1:
        both = emit.builder.fadd(even.value, odd.value), emit.builder.fsub(even.value, odd.value)
    elif odd.factor == 1:
        both = even.plus(emit, odd.value), even.plus(emit, emit.builder.fneg(odd.value))
    else:
        whole = even.multiplied(emit)
        both = odd.plus(emit, whole), odd._replace(factor=-odd.factor).plus(emit, whole)
    return Multiple(Fraction(1), both[0]), Multiple(Fraction(1), both[1])


def _combination(emit: Emitter, factors: tuple[Fraction, ...], values: list[Any]) -> Multiple:
    """Return ``Σ factor · value``, beginning with a value whose factor is 1 if there is one.

    Where the factors are short numbers times one that is not, this one is left to the end: sums of integers
    are then exact.
    """
    terms = [(factor, value) for factor, value in zip(factors, values, strict=True) if factor]
    if not terms:
        return Multiple(Fraction(1), emit.zero)
    common = Fraction(1)
    if all(factor != 1 for factor, _ in terms):
        common = next((c for c, _ in terms if all(is_exact(factor / c) for factor, _ in terms)), common)
    terms = sorted(((factor / common, value) for factor, value in terms), key=lambda term: term[0] != 1)
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
    return Multiple(common, total)
