"""Tells which of Winograd's schemes keep the promised bound, by how much their matrices amplify.

Along one axis a tile's results are ``Σ_i A[a, i] · (Σ_t G[i, t] g[t]) · (Σ_p B[i, p] d[p])``, where A, G
and B are the scheme's output, weight and source matrices. The gradient of the weight is the same form with A
and G exchanged; grad_input with a stride has separate matrices. The terms that cancel in the sum over i were
rounded before: each product errs by a few roundings of its own size, and these errors add up, while the bound
counts only the products ``g[t] · d[p]`` that remain.

The worst operands are those whose results are single products, since then nothing else enters the bound: one
factor is one element, the other's elements are alike in size and of any sign (a kernel that copies pixels, a
bright pixel among dark ones), and all other channels are zero. Roundings are independent (Higham and Mary
2019). So the error of result a, in units of eps times the largest product, is a small number times

    ``amplification = max over a and t of (Σ_i A[a, i]² G[i, t]² ‖B[i, :]‖²) ** 0.5``

or times the same with A, G and B in another order, whichever is largest; with two axes, times the product of
both. It is the norm of Barabasz, Anderson, Soodhalter and Gregg (*Error analysis and improving the accuracy
of Winograd convolution for deep neural networks*, 2020, arXiv:1803.10986, theorem 2), with squares in place
of absolute values, and for one element in place of a whole tile. `ROUNDINGS` is that small number.

More channels, images and tiles make the error no larger, in units of the largest ``|x| ⋆ |w|``, and in random
data far smaller. The bound is ``8 + √terms`` of these units, so large tiles suit only long sums.

One thing is left out: products that a tile forms although no window joins their factors, such as those of a
pixel at an image's edge, without padding, with a tap that never reaches it. They are assumed to be no larger
than the largest product of a result.
"""

from __future__ import annotations

import functools
import itertools
import math

from convhub.backend import Problem

from .matrices import Matrix, Scheme, matrices, transposed

__all__ = ["amplification", "greatest_error", "keeps_bound"]

#: The largest ratio of the error to the amplification, in all but one of a thousand tiles of the worst
#: operands: with schemes of up to seven points along an axis, and with larger ones. Where all of sixteen
#: channels count, it is less than half. Both are measured by
#: ``tests/backends/numba/algorithms/test_winograd_bound.py``.
ROUNDINGS, LARGE_ROUNDINGS = 2.4, 3.2
MOST_SMALL_POINTS = 7


@functools.cache
def amplification(scheme: Scheme) -> float:
    """Return by how much the transforms of one axis amplify roundings; 1 where there are none.

    Examples
    --------
    >>> [round(amplification(Scheme(outputs, 3)), 1) for outputs in (1, 2, 3, 4)]
    [1.0, 1.7, 3.1, 4.0]
    """
    made = matrices(scheme)
    factors = [_squares(matrix) for matrix in (transposed(made.to_outputs), made.weight, made.source)]
    return math.sqrt(max(_largest(*order) for order in itertools.permutations(factors)))


def _squares(matrix: Matrix) -> list[list[float]]:
    return [[float(value * value) for value in row] for row in matrix]


def _largest(one: list[list[float]], other: list[list[float]], whole: list[list[float]]) -> float:
    """Return ``max over a, t of Σ_i one[i, a] · other[i, t] · Σ_p whole[i, p]``."""
    sums = [sum(row) for row in whole]
    return max(
        sum(first[a] * second[t] * total for first, second, total in zip(one, other, sums, strict=True))
        for a in range(len(one[0]))
        for t in range(len(other[0]))
    )


def greatest_error(high: Scheme, wide: Scheme) -> float:
    """Return the largest error of a pair of schemes, in units of eps times the largest ``|x| ⋆ |w|``.

    Examples
    --------
    >>> round(greatest_error(Scheme(3, 3), Scheme(4, 3)), 1)
    30.1
    """
    phase = max(_points_of_a_phase(scheme) for scheme in (high, wide))
    roundings = ROUNDINGS if phase <= MOST_SMALL_POINTS else LARGE_ROUNDINGS
    return roundings * amplification(high) * amplification(wide)


def _points_of_a_phase(scheme: Scheme) -> int:
    return scheme.outputs - scheme.taps // -scheme.stride - 1


def keeps_bound(problem: Problem, high: Scheme, wide: Scheme) -> bool:
    """Say whether a pair of schemes keeps the bound of `convhub.reference.bounds`.

    Examples
    --------
    >>> few, many = (Problem.parse(f"forward_n1c{c}h9w9_k16r5s5") for c in (64, 512))
    >>> large, small = Scheme(3, 5), Scheme(2, 5)
    >>> keeps_bound(few, small, small), keeps_bound(few, small, large), keeps_bound(many, small, large)
    (True, False, True)
    """
    return greatest_error(high, wide) <= 8 + math.sqrt(problem.terms)
