"""Runs every check on one problem and one backend, returns the findings as data, and draws random problems.

This needs neither pytest nor hypothesis nor torch; without torch the checks that use it are skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np

from ..callers_code import raised_by_caller
from ..dispatch.candidates import availability
from ..dispatch.dispatcher import current_dispatcher
from ..problem import PRIMITIVES, Primitive, Problem
from .calls import refuse_fallback, refused, registered
from .checks import (
    against_torch,
    aliasing,
    memory,
    nonfinite,
    numbers,
    one_thread,
    process_state,
    public,
    resources,
    silence,
    sizes,
    special,
    state,
    strict,
    sums,
    tensors,
    threads,
    values,
    workspace,
)
from .problems.cases import declared_problem, random_problem
from .trial import CheckFailure, Skip, Trial
from .watch import watching

__all__ = ["Finding", "verify"]

#: Every check by its name: a function of a `Trial` that returns the worst ratio of error to bound, or None.
CHECKS: dict[str, Callable[[Trial], float | None]] = {
    "random data": numbers.random_data,
    "positive data": numbers.positive_data,
    "exact integers": numbers.exact_integers,
    "any size": sizes.any_size,
    "long sums": sums.long_sums,
    "mixed scales": values.mixed_scales,
    "ends of range": values.ends_of_range,
    "strict accuracy": strict.strict_accuracy,
    "adjoint": numbers.adjoint,
    "nonfinite": nonfinite.nonfinite,
    "complex overflow": special.complex_overflow,
    "any layout": memory.any_layout,
    "each axis": aliasing.each_axis,
    "one array twice": aliasing.one_array_twice,
    "own result": aliasing.own_result,
    "unchanged operands": memory.unchanged_operands,
    "every element": memory.every_element,
    "no stale state": memory.no_stale_state,
    "same shapes": state.same_shapes,
    "changed elements": state.changed_elements,
    "primitives by turns": state.primitives_by_turns,
    "many calls": state.many_calls,
    "small workspace": memory.small_workspace,
    "workspace limit": workspace.workspace_limit,
    "one thread": one_thread.one_thread,
    "any thread count": threads.any_thread_count,
    "many callers": threads.many_callers,
    "different callers": threads.different_callers,
    "after fork": threads.after_fork,
    "process state": process_state.process_state,
    "silent": silence.silent,
    "flat resources": resources.flat_resources,
    "public functions": public.public_functions,
    "torch tensors": public.torch_tensors,
    "plain tensors": tensors.plain_tensors,
    "agrees with torch": against_torch.agrees_with_torch,
}


class Finding(NamedTuple):
    """The result of one check.

    Parameters
    ----------
    backend : str
        The name of the backend that was checked.
    problem : Problem or None
        None for a check of the backend as a whole.
    check : str
        The name of the check.
    outcome : {"passed", "failed", "skipped", "declined"}
        The check's outcome.
    ratio : float or None
        The worst error in units of its bound, or None if none was measured.
    detail : str
        Why a check failed or was skipped; empty if it passed.
    seed : int
        The seed of the data.
    """

    backend: str
    problem: Problem | None
    check: str
    outcome: Literal["passed", "failed", "skipped", "declined"]
    ratio: float | None
    detail: str
    seed: int = 0

    @property
    def command(self) -> str:
        """The command that repeats it, under the backends' options that the environment has now."""
        if self.problem is None:
            return (
                f"pytest --pyargs convhub.conformance --convhub-backend {self.backend} "
                f"--convhub-seed {self.seed} -k {self.check.replace(' ', '_')}"
            )
        return Trial(self.backend, self.problem, self.seed, self.check).command


def verify(problem: Problem, backend: str, seed: int = 0, *, checks: Iterable[str] = CHECKS) -> list[Finding]:
    """Run every check of one problem on one backend.

    Parameters
    ----------
    problem : Problem
        The problem to compute.
    backend : str
        The name of a registered backend.
    seed : int
        The seed of the random data.
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
        If ``fallback`` is on, since another backend could answer instead of this one.

    Examples
    --------
    >>> problem = Problem.parse("forward_float32_n1c2h5w5_k3r3s3")
    >>> {finding.outcome for finding in verify(problem, "numpy", checks=["random data", "adjoint"])}
    {'passed'}
    """
    refuse_fallback()
    reason = refused(backend, problem)
    if reason is not None:
        return [Finding(backend, problem, "every check", "skipped", None, reason, seed)]
    return [run_check(name, problem, backend, seed) for name in checks]


def run_check(name: str, problem: Problem, backend: str, seed: int = 0) -> Finding:
    """Run the check of that name; it fails if the backend raises, or lets another backend compute."""
    refuse_fallback()
    with watching(backend) as others:
        finding = _found(Trial(backend, problem, seed, name))
    if others.complaint:
        return finding._replace(outcome="failed", ratio=None, detail=others.complaint)
    return finding


def _found(trial: Trial) -> Finding:
    check = CHECKS[trial.check]
    passed = Finding(trial.backend, trial.problem, trial.check, "passed", None, "", trial.seed)
    try:
        ratio = check(trial)
    except Skip as skip:
        return passed._replace(outcome="skipped", detail=str(skip))
    except CheckFailure as failure:
        return passed._replace(outcome="failed", ratio=failure.ratio, detail=failure.what)
    # This is a plugin's code: whatever it raises is the finding, `SystemExit` and pytest's outcomes too.
    except BaseException as error:
        if raised_by_caller(error):
            raise
        return passed._replace(outcome="failed", detail=f"{type(error).__name__}: {error}")
    return passed._replace(ratio=ratio)


def random_problems(
    count: int,
    seed: int,
    *,
    primitive: Primitive | None = None,
    dtype: str | None = None,
    backend: str | None = None,
) -> Iterator[Problem]:
    """Yield small random problems, the same ones for the same seed.

    Parameters
    ----------
    count, seed : int
    primitive : str, optional
        By default, any of the three.
    dtype : str, optional
        By default, float32 or float64.
    backend : str, optional
        Yield only problems that it supports, of the primitives and dtypes that it declares, on its device.
        They are fewer than `count` if it supports few of very many; if none, one that it declines.

    Raises
    ------
    UnknownBackendError
        If no backend of that name is registered.

    Examples
    --------
    >>> list(random_problems(3, seed=1)) == list(random_problems(3, seed=1))
    True
    """
    rng = np.random.default_rng(seed)
    if backend is not None:
        yield from _taken(count, rng, backend)
        return
    for _ in range(count):
        chosen = PRIMITIVES[rng.integers(len(PRIMITIVES))]
        chosen_dtype = ("float32", "float64")[rng.integers(2)]
        yield random_problem(rng, primitive or chosen, dtype or chosen_dtype)


#: How many problems are drawn for each one that a backend must support: one in 25 has a kernel of 3x3.
DRAWS = 400


def _taken(count: int, rng: np.random.Generator, name: str) -> Iterator[Problem]:
    entry = registered(name)
    backend = entry.backend
    device = next(iter(backend.capabilities.devices), "cpu")
    able = availability(entry, current_dispatcher()) is None
    found = 0
    for _ in range(DRAWS * count if able else 1):
        problem = declared_problem(rng, backend, device)
        if refused(name, problem) is None:
            yield problem
            found += 1
            if found == count:
                return
    if not found:
        yield problem
