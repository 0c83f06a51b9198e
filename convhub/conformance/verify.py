"""Every check on one problem and one backend, as data; and random problems to try.

This needs neither pytest nor hypothesis nor torch; without torch its checks are skipped, and say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np

from ..problem import PRIMITIVES, Primitive, Problem
from . import checks, checks_memory, checks_public, checks_threads, checks_torch
from .calls import refuse_fallback, refused
from .cases import random_problem
from .trial import CheckFailure, Skip, Trial

__all__ = ["CHECKS", "Finding", "random_problems", "run_check", "verify"]

#: Every check by its name: a function of a `Trial` that returns the worst ratio of error to bound, or None.
CHECKS: dict[str, Callable[[Trial], float | None]] = {
    "random data": checks.random_data,
    "positive data": checks.positive_data,
    "exact integers": checks.exact_integers,
    "adjoint": checks.adjoint,
    "nonfinite": checks.nonfinite,
    "any layout": checks_memory.any_layout,
    "unchanged operands": checks_memory.unchanged_operands,
    "every element": checks_memory.every_element,
    "no stale state": checks_memory.no_stale_state,
    "small workspace": checks_memory.small_workspace,
    "any thread count": checks_threads.any_thread_count,
    "many callers": checks_threads.many_callers,
    "after fork": checks_threads.after_fork,
    "public functions": checks_public.public_functions,
    "torch tensors": checks_public.torch_tensors,
    "agrees with torch": checks_torch.agrees_with_torch,
}


class Finding(NamedTuple):
    """What one check found.

    `ratio` is the worst error in units of its bound, or None where none was measured; `detail` says why a
    check failed or was skipped, and is empty where it passed.
    """

    backend: str
    problem: Problem
    check: str
    outcome: Literal["passed", "failed", "skipped"]
    ratio: float | None
    detail: str


def verify(problem: Problem, backend: str, seed: int = 0, *, checks: Iterable[str] = CHECKS) -> list[Finding]:
    """Run every check of one problem on one backend.

    Parameters
    ----------
    problem : Problem
    backend : str
        Name of a registered backend.
    seed : int
        Of the random data.
    checks : iterable of str, optional
        Names from `CHECKS`; by default all.

    Returns
    -------
    list of Finding
        One for each check; if the backend declines the problem, a single one that was skipped.

    Raises
    ------
    UnknownBackendError
        If no such backend is registered.
    ConfigurationError
        If ``fallback`` is on: another backend could answer in place of this one.

    Examples
    --------
    >>> problem = Problem.parse("forward_float32_n1c2h5w5_k3r3s3")
    >>> {finding.outcome for finding in verify(problem, "numpy", checks=["random data", "adjoint"])}
    {'passed'}
    """
    refuse_fallback()
    reason = refused(backend, problem)
    if reason is not None:
        return [Finding(backend, problem, "every check", "skipped", None, reason)]
    return [run_check(name, problem, backend, seed) for name in checks]


def run_check(name: str, problem: Problem, backend: str, seed: int = 0) -> Finding:
    """Run the check of that name; whatever the backend raises is a failure."""
    trial = Trial(backend, problem, seed, name)
    try:
        ratio = CHECKS[name](trial)
    except Skip as skip:
        return Finding(backend, problem, name, "skipped", None, str(skip))
    except CheckFailure as failure:
        return Finding(backend, problem, name, "failed", failure.ratio, failure.what)
    # A stranger's code; what it raises is what was found.
    except Exception as error:  # noqa: BLE001
        return Finding(backend, problem, name, "failed", None, f"{type(error).__name__}: {error}")
    return Finding(backend, problem, name, "passed", ratio, "")


def random_problems(
    count: int, seed: int, *, primitive: Primitive | None = None, dtype: str | None = None
) -> Iterator[Problem]:
    """Yield small random problems, the same ones for the same seed.

    Parameters
    ----------
    count, seed : int
    primitive : str, optional
        By default, any of the three.
    dtype : str, optional
        By default, float32 or float64.

    Examples
    --------
    >>> list(random_problems(3, seed=1)) == list(random_problems(3, seed=1))
    True
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        chosen = PRIMITIVES[rng.integers(len(PRIMITIVES))]
        chosen_dtype = ("float32", "float64")[rng.integers(2)]
        yield random_problem(rng, primitive or chosen, dtype or chosen_dtype)
