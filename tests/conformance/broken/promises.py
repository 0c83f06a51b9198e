"""Faults that leave something of the process changed."""

from __future__ import annotations

import os
import random
import warnings

import numpy as np

from .faults import fault


@fault("UNKNOWN")
def errors_of_numpy_ignored(right, first, second, bias, problem, options):
    """Switches off NumPy's floating-point warnings, and not on again."""
    np.seterr(all="ignore")
    return right(first, second, bias, problem, options)


@fault("UNKNOWN")
def random_numbers_seeded(right, first, second, bias, problem, options):
    """Seeds the random numbers that the whole process uses."""
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    return right(first, second, bias, problem, options)


@fault("UNKNOWN")
def environment_changed(right, first, second, bias, problem, options):
    """Sets OMP_NUM_THREADS in the environment."""
    os.environ["OMP_NUM_THREADS"] = str(options.threads + 1)
    return right(first, second, bias, problem, options)


@fault("UNKNOWN")
def prints_to_standard_output(right, first, second, bias, problem, options):
    """Prints what it does."""
    print(f"running {problem}")
    return right(first, second, bias, problem, options)


@fault("UNKNOWN")
def warns_about_every_call(right, first, second, bias, problem, options):
    """Warns that a slower algorithm is used."""
    warnings.warn("no fast algorithm", RuntimeWarning, stacklevel=2)
    return right(first, second, bias, problem, options)


@fault("UNKNOWN", remembers=True)
def every_operand_kept():
    """Keeps every first operand for ever."""
    kept = []

    def run(right, first, second, bias, problem, options):
        kept.append(first)
        return right(first, second, bias, problem, options)

    return run
