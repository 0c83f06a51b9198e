"""Computes the error of a result as a fraction of what rounding allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..backend import Accuracy
from ..dispatch.dispatcher import Dispatcher, current_dispatcher
from ..dispatch.options import run_options
from ..plugins import RegisteredBackend
from ..problem import Problem
from ..reference.bounds import probable_growth, summing_bound, worst
from ..reference.oracle import Exact, Operands, exact

__all__ = ["Reference", "channel_sum", "fraction_of_bound", "greatest_growth", "reference"]

Array = NDArray[Any]


class Reference(NamedTuple):
    """The right result, and how many products (or numbers) are summed for each element."""

    right: Exact
    terms: int
    problem: Problem | None = None


def reference(problem: Problem, first: Array, second: Array, bias: Array | None = None) -> Reference:
    """Return the right result of `problem` in float64; operands are in the primitive's order."""
    right = exact(problem, Operands(first, second, bias))
    return Reference(right, problem.terms + (bias is not None), problem)


def channel_sum(grad_output: Array) -> Reference:
    """Return the right gradient of a bias: the sum over batch and space of `grad_output`, (N, K, P, Q)."""
    wide = grad_output.astype(np.float64)
    value, magnitude = wide.sum((0, 2, 3)), np.abs(wide).sum((0, 2, 3))
    return Reference(Exact(value, np.zeros_like(value), magnitude), wide.size // wide.shape[1])


def greatest_growth(terms: int) -> float:
    """Return by how many eps a sum of `terms` products can err at most, in any order.

    This is equation 3.5 of Higham, *Accuracy and Stability of Numerical Algorithms* (2002), to first order.
    Errors are not independent in a clear sky, where the same product is added repeatedly, and rounded to the
    same side each time.
    """
    return max(terms, 2) / 2


def fraction_of_bound(
    result: Array, right: Reference, backend: str = "", growth: Callable[[int], float] = probable_growth
) -> float:
    """Return the worst error as a fraction of ``growth(terms) · eps · magnitude``; above 1 it is too large.

    Parameters
    ----------
    result : array
        Of a floating-point dtype, which determines eps.
    right : Reference
        The right result.
    backend : str
        The backend that computed it. If it declares the normwise accuracy class, every element's bound uses
        the largest magnitude instead of its own: see `convhub.backend.Accuracy`.
    growth : callable
        Maps the number of summed products to the number of eps allowed.
    """
    dispatcher = current_dispatcher()
    known = dispatcher.registry.backends.get(backend)
    accuracy = "componentwise" if known is None else _accuracy(known, right.problem, dispatcher)
    allowed = summing_bound(right.terms, result.dtype.name, right.right.magnitude, accuracy, growth)
    return worst(result, right.right, allowed).ratio


def _accuracy(registered: RegisteredBackend, problem: Problem | None, dispatcher: Dispatcher) -> Accuracy:
    if problem is None:
        return registered.backend.capabilities.accuracy
    return registered.backend.accuracy_of(problem, run_options(registered, dispatcher.config))
