"""Computes the matrices of Winograd's minimal filtering exactly, from their interpolation points.

``y = Aᵀ [(G g) ⊙ (Bᵀ d)]`` gives `outputs` neighbouring outputs of a correlation with `taps` taps from
``outputs + taps - 1`` products (Winograd, *Arithmetic Complexity of Computations*, 1980; Lavin and Gray 2015,
arXiv:1509.09308). It is the Toom-Cook product of two polynomials, transposed: evaluate at the points,
multiply, interpolate. One point is infinity, where a polynomial's value is its leading coefficient.

With a stride, each phase of the taps is a separate filter, over its own phase of the source (or, spread out
as in grad_input, of the output): the matrices of the phases lie side by side in one larger matrix.

The points decide the error: those with ±2/3 and ±3/2 amplify it half as much as the usual ±1 and ±2, as a
search over small fractions for the least `error.amplification` shows (compare Barabasz et al. 2020,
arXiv:1803.10986). Among points equal in that, those are chosen whose matrices need the least rounding.

A factor of one row of B may go to G's row or to A's column instead. For ±2/3 and ±3/2 it is chosen so that
A, G and B are short numbers, exact in binary, and all other denominators are in the factors s of
``y = Aᵀ [s ⊙ (G g) ⊙ (Bᵀ d)]``. What is rounded for small integers is then only the last multiplication of
each result, by 1/585, which gives the exact integer (see `transforms.odd_divisor`). With ones this holds in
float32 wherever the planner takes such tiles along one axis; along both, which it does from 105 channels on,
sums have more than 24 bits, and are rounded.

Where 1 is a point, a constant source is zero at all others: Lagrange's polynomials have the factor ``x - 1``.
With 1, -5/3 and -3/5 the transforms use differences of neighbours, so that this is exact.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import NamedTuple

from ...tiling import ceil_div

__all__ = ["Matrices", "Matrix", "Scheme", "matrices", "transposed"]

Matrix = tuple[tuple[Fraction, ...], ...]

#: Interpolation points, by their number besides infinity.
POINTS = {
    0: (),
    1: (Fraction(0),),
    2: (Fraction(0), Fraction(1)),
    3: (Fraction(0), Fraction(1), Fraction(-1)),
    4: (Fraction(0), Fraction(1), Fraction(-5, 3), Fraction(-3, 5)),
    5: (Fraction(0), Fraction(2, 3), Fraction(-2, 3), Fraction(3, 2), Fraction(-3, 2)),
    6: (*(Fraction(p, 4) for p in (0, 4, -4, 7, -7, 2)),),
    7: (*(Fraction(p, 2) for p in (0, 1, -1, 2, -2, 4, -4)),),
    8: (*(Fraction(p, 4) for p in (0, 2, -2, 4, -4, 5, -5, 10)),),
    9: (*(Fraction(p, 4) for p in (0, 2, -2, 3, -3, 5, -5, 10, -10)),),
}


class Scheme(NamedTuple):
    """The computation of one tile along one axis.

    Plain: output ``a`` of `outputs` is ``Σ_t g[t] · d[a * stride + t]``. Spread, as grad_input has it:
    output ``u`` of ``outputs * stride`` is ``Σ_t g[t] · d[(u - t) / stride + reach]`` over the taps for which
    that is an integer; `reach` is how far the first output looks back.
    """

    outputs: int
    taps: int
    stride: int = 1
    spread: bool = False

    @property
    def reach(self) -> int:
        """How many elements of the source before its own a tile of a spread scheme reads."""
        return ceil_div(self.taps, self.stride) - 1

    @property
    def sources(self) -> int:
        """How many elements of the source a tile reads."""
        if self.spread:
            return self.outputs + self.reach
        return (self.outputs - 1) * self.stride + self.taps

    @property
    def results(self) -> int:
        """How many outputs a tile has."""
        return self.outputs * self.stride if self.spread else self.outputs

    @property
    def points(self) -> int:
        """How many products a tile takes."""
        return self.outputs * self.stride + self.taps - self.stride

    def encoded(self) -> int:
        """Return the scheme as one integer, which a kernel can have as a literal."""
        return ((self.outputs * 64 + self.taps) * 64 + self.stride) * 2 + self.spread

    @classmethod
    def decoded(cls, code: int) -> Scheme:
        """Return the scheme that `encoded` made into an integer."""
        rest, spread = divmod(code, 2)
        rest, stride = divmod(rest, 64)
        return cls(*divmod(rest, 64), stride, bool(spread))


class Matrices(NamedTuple):
    """The three transforms of one axis."""

    output: Matrix  # Aᵀ, results x points
    weight: Matrix  # G, points x taps
    source: Matrix  # Bᵀ, points x sources
    scale: tuple[Fraction, ...]  # s, by which what becomes a result is multiplied

    @property
    def to_outputs(self) -> Matrix:
        """``Aᵀ diag(s)``, which makes outputs of the products."""
        return _scaled(self.output, self.scale)

    @property
    def to_weight(self) -> Matrix:
        """``Gᵀ diag(s)``, which makes the gradient of the weight of the products."""
        return _scaled(transposed(self.weight), self.scale)


@functools.cache
def matrices(scheme: Scheme) -> Matrices:
    """Return the matrices of a scheme, whose `taps` are at least its `stride`.

    Examples
    --------
    >>> [[str(value) for value in row] for row in matrices(Scheme(2, 3)).source]
    [['-1', '0', '1', '0'], ['0', '1', '1', '0'], ['0', '-1', '1', '0'], ['0', '-1', '0', '1']]
    """
    output: list[list[Fraction]] = [[] for _ in range(scheme.results)]
    weight: list[tuple[Fraction, ...]] = []
    source: list[tuple[Fraction, ...]] = []
    scale: list[Fraction] = []
    for phase in range(scheme.stride):
        indices = list(range(phase, scheme.taps, scheme.stride))
        if scheme.spread:
            indices.reverse()
        part = _dense(scheme.outputs, len(indices))
        for a, row in enumerate(output):
            in_phase = not scheme.spread or a % scheme.stride == phase
            index = a // scheme.stride if scheme.spread else a
            row.extend(part.output[index] if in_phase else [Fraction(0)] * len(part.weight))
        weight.extend(_placed(row, indices, scheme.taps) for row in part.weight)
        reads = range(scheme.outputs + len(indices) - 1)
        if scheme.spread:
            places = [scheme.reach - len(indices) + 1 + i for i in reads]
        else:
            places = [phase + i * scheme.stride for i in reads]
        source.extend(_placed(row, places, scheme.sources) for row in part.source)
        scale.extend(part.scale)
    return Matrices(tuple(map(tuple, output)), tuple(weight), tuple(source), tuple(scale))


def transposed(matrix: Matrix) -> Matrix:
    """Return the matrix with rows and columns exchanged."""
    return tuple(zip(*matrix, strict=True))


def _dense(outputs: int, taps: int) -> Matrices:
    """Return the matrices for neighbouring outputs, stride 1."""
    if outputs == 1 or taps == 1:
        # Nothing is saved: every product belongs to a single output (or tap).
        identity = tuple(
            tuple(Fraction(i == j) for j in range(outputs + taps - 1)) for i in range(outputs + taps - 1)
        )
        ones = (Fraction(1),) * (outputs + taps - 1)
        return (
            Matrices(identity, transposed((ones,)), identity, ones)
            if taps == 1
            else Matrices((ones,), identity, identity, ones)
        )
    points = POINTS[outputs + taps - 2]
    if 1 not in points and any(not is_exact(point) for point in points):
        return _integral(outputs, taps, points)
    evaluate_outputs = [_powers(point, outputs) for point in points] + [_leading(outputs)]
    weight, source = [], []
    for i, point in enumerate(points):
        others = points[:i] + points[i + 1 :]
        scale = Fraction(1)
        for other in others:
            scale *= point - other
        # Lagrange's polynomial, its denominator moved to the weight, which is transformed once.
        polynomial, of_weight = _product_of_roots(others), scale
        if point == 1 and not is_exact(scale):
            # It stays here: a constant is then transformed to itself, and the weight to its sum.
            polynomial, of_weight = tuple(value / scale for value in polynomial), Fraction(1)
        source.append((*polynomial, Fraction(0)))
        weight.append(tuple(power / of_weight for power in _powers(point, taps)))
    source.append(_product_of_roots(points))
    weight.append(_leading(taps))
    ones = (Fraction(1),) * (len(points) + 1)
    return Matrices(transposed(tuple(evaluate_outputs)), tuple(weight), tuple(source), ones)


def _integral(outputs: int, taps: int, points: tuple[Fraction, ...]) -> Matrices:
    """Return the matrices for neighbouring outputs whose numbers are integers divided by powers of 2.

    A point u/v is the root of ``v·x - u``, and the powers are those of u and v together.
    """
    pairs = [(point.numerator, point.denominator) for point in points] + [(1, 0)]  # 1/0 is infinity
    output, weight, source, scale = [], [], [], []
    for u, v in pairs:
        others = [other for other in pairs if other != (u, v)]
        denominator = math.prod(b * u - a * v if b else v for a, b in others)
        coefficients = [Fraction(1)]
        for a, b in others:
            if b:
                coefficients = [
                    b * above - a * here
                    for above, here in zip(
                        [Fraction(0), *coefficients], [*coefficients, Fraction(0)], strict=True
                    )
                ]
        rows = [
            _with_one(tuple(Fraction(u**power * v ** (count - 1 - power)) for power in range(count)))
            for count in (outputs, taps)
        ]
        rows.append(_with_one((*coefficients, *[Fraction(0)] * (len(pairs) - len(coefficients)))))
        output.append(rows[0][0])
        weight.append(rows[1][0])
        source.append(rows[2][0])
        scale.append(math.prod((divisor for _, divisor in rows), start=Fraction(1)) / denominator)
    return Matrices(transposed(tuple(output)), tuple(weight), tuple(source), tuple(scale))


def _with_one(row: tuple[Fraction, ...]) -> tuple[tuple[Fraction, ...], Fraction]:
    """Return a row of integers divided by a power of 2 among them, which saves a multiplication, and this.

    Rows of opposite points, equal at even places and opposite at odd ones, stay so.

    Examples
    --------
    >>> row, divisor = _with_one(tuple(map(Fraction, (27, 18, 12, 8))))
    >>> [str(value) for value in row], divisor
    (['27/8', '9/4', '3/2', '1'], Fraction(8, 1))
    """
    powers = [(abs(value), k) for k, value in enumerate(row) if value and is_power_of_two(value)]
    if not powers:
        largest = int(max(map(abs, row)))
        divisor = Fraction(1 << (largest.bit_length() - 1))
    else:
        divisor, k = max(powers)
        if row[k] < 0 and k % 2 == 0:
            divisor = -divisor
    return tuple(value / divisor for value in row), divisor


def _scaled(matrix: Matrix, scale: tuple[Fraction, ...]) -> Matrix:
    return tuple(tuple(value * factor for value, factor in zip(row, scale, strict=True)) for row in matrix)


def is_exact(value: Fraction) -> bool:
    """Say whether a fraction's denominator is a power of 2: such short numbers are exact in binary."""
    return value.denominator & (value.denominator - 1) == 0


def is_power_of_two(value: Fraction) -> bool:
    """Say whether an integer is a power of 2 or the opposite of one."""
    return abs(int(value)) & (abs(int(value)) - 1) == 0


def _placed(values: tuple[Fraction, ...], places: list[int], size: int) -> tuple[Fraction, ...]:
    row = [Fraction(0)] * size
    for place, value in zip(places, values, strict=True):
        row[place] = value
    return tuple(row)


def _powers(point: Fraction, count: int) -> tuple[Fraction, ...]:
    return tuple(point**power for power in range(count))


def _leading(count: int) -> tuple[Fraction, ...]:
    return (*[Fraction(0)] * (count - 1), Fraction(1))


def _product_of_roots(roots: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    """Return the coefficients of ``Π (x - root)``, lowest first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [a - root * b for a, b in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
    return tuple(coefficients)
