"""The matrices of Winograd's minimal filtering, computed exactly from their interpolation points.

``y = Aᵀ [(G g) ⊙ (Bᵀ d)]`` gives `outputs` neighbouring outputs of a correlation with `taps` taps from
``outputs + taps - 1`` products (Winograd, *Arithmetic Complexity of Computations*, 1980; Lavin and Gray 2015,
arXiv:1509.09308). It is the Toom-Cook product of two polynomials, transposed: evaluate at the points,
multiply, interpolate. One point is infinity, where a polynomial's value is its leading coefficient.

The points decide the error: those with ±3/4 and ±3/2 amplify it several times less than the usual ±1 and ±2,
which a search over small fractions shows (compare Barabasz et al. 2018, arXiv:1803.10986).
"""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import NamedTuple

__all__ = ["Matrices", "Matrix", "matrices"]

Matrix = tuple[tuple[Fraction, ...], ...]

#: By how many there are besides infinity.
POINTS = {
    3: (Fraction(0), Fraction(1), Fraction(-1)),
    5: (Fraction(0), Fraction(3, 4), Fraction(-3, 4), Fraction(3, 2), Fraction(-3, 2)),
}


class Matrices(NamedTuple):
    """The three transforms of one axis."""

    output: Matrix  # Aᵀ, outputs x points
    weight: Matrix  # G, points x taps
    source: Matrix  # Bᵀ, points x points


@functools.cache
def matrices(outputs: int, taps: int) -> Matrices:
    """Return the matrices for so many outputs of a correlation with so many taps.

    Examples
    --------
    >>> [[str(value) for value in row] for row in matrices(2, 3).source]
    [['-1', '0', '1', '0'], ['0', '1', '1', '0'], ['0', '-1', '1', '0'], ['0', '-1', '0', '1']]
    """
    points = POINTS[outputs + taps - 2]
    evaluate_outputs = [_powers(point, outputs) for point in points] + [_leading(outputs)]
    weight, source = [], []
    for i, point in enumerate(points):
        others = points[:i] + points[i + 1 :]
        scale = Fraction(1)
        for other in others:
            scale *= point - other
        # Lagrange's polynomial, its denominator moved to the weight, which is transformed once.
        source.append((*_product_of_roots(others), Fraction(0)))
        weight.append(tuple(power / scale for power in _powers(point, taps)))
    source.append(_product_of_roots(points))
    weight.append(_leading(taps))
    output = tuple(zip(*evaluate_outputs, strict=True))
    return Matrices(output, tuple(weight), tuple(source))


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
