"""Checks that a backend under ``accuracy = "strict"`` keeps the bound of each element."""

from __future__ import annotations

from ..calls import refused, settings
from ..trial import Skip, Trial
from .numbers import exact_integers, random_data
from .values import mixed_scales

__all__ = ["strict_accuracy"]


def strict_accuracy(trial: Trial) -> float:
    """Check the numbers under ``accuracy = "strict"``, where every backend is of the class componentwise.

    A call under the usual accuracy comes before, for which the backend may keep a plan. Operands of different
    scales show an algorithm that transforms them: its error is that of the largest.
    """
    ratio = random_data(trial)
    with settings(accuracy="strict"):
        reason = refused(trial.backend, trial.problem)
        if reason is not None:
            raise Skip(f'where accuracy = "strict": {reason}')
        for check in (random_data, exact_integers, mixed_scales):
            try:
                ratio = max(ratio, check(trial) or 0.0)
            except Skip:  # of integers, or of sums too long for float32
                continue
    return ratio
