"""Faults of the accuracy class: accuracy="strict" that is not heard, or not by every algorithm."""

from __future__ import annotations

import ml_dtypes
import numpy as np
from conformance.correct import fft

from convhub.backend import Capabilities

from .faults import fault

FOUND_BY = "strict accuracy"
BOTH = ("float32", "float64")
NORMWISE = Capabilities(dtypes=BOTH, accuracy="normwise")


def _componentwise_if_strict(problem, options):
    return "componentwise" if options.accuracy == "strict" else "normwise"


def _transformed(first, second, bias, problem, options):
    given = (first, second) if problem.primitive == "grad_weight" else (first, second, bias)
    return getattr(fft.backend, problem.primitive)(*given, problem, options)


@fault(FOUND_BY, capabilities=NORMWISE, accuracy=_componentwise_if_strict)
def strict_not_heard(right, first, second, bias, problem, options):
    """Declares that it does not transform where accuracy is strict, and does."""
    return _transformed(first, second, bias, problem, options)


@fault(FOUND_BY, capabilities=NORMWISE, accuracy=_componentwise_if_strict)
def strict_heard_for_small_kernels_only(right, first, second, bias, problem, options):
    """Wrong only for kernels of more than nine taps: transforms also where accuracy is strict."""
    taps = problem.kernel_size[0] * problem.kernel_size[1]
    if options.accuracy == "strict" and taps <= 9:
        return right(first, second, bias, problem, options)
    return _transformed(first, second, bias, problem, options)


@fault(FOUND_BY, capabilities=NORMWISE, accuracy=lambda problem, options: "componentwise")
def class_of_the_other_algorithm(right, first, second, bias, problem, options):
    """Names the class of the algorithm that runs for a single image, and transforms for several."""
    if problem.batch == 0:
        return right(first, second, bias, problem, options)
    return _transformed(first, second, bias, problem, options)


@fault(FOUND_BY, remembers=True, capabilities=NORMWISE, accuracy=_componentwise_if_strict)
def plan_made_before_strict():
    """Plans the first call of a problem, and keeps that algorithm when accuracy becomes strict."""
    plans = {}

    def run(right, first, second, bias, problem, options):
        if plans.setdefault(problem, options.accuracy) == "strict":
            return right(first, second, bias, problem, options)
        return _transformed(first, second, bias, problem, options)

    return run


@fault(FOUND_BY)
def strict_in_fewer_bits(right, first, second, bias, problem, options):
    """Wrong only for float32 where accuracy is strict: rounds the first operand to bfloat16 there."""
    if options.accuracy == "strict" and problem.dtype == "float32":
        first = first.astype(ml_dtypes.bfloat16).astype(np.float32)
    elif options.accuracy == "strict" and problem.dtype == "float64":
        first = first.astype(np.float32).astype(np.float64)
    return right(first, second, bias, problem, options)
