"""Measures which of the backends that can run a problem is the fastest here.

With ``tune = true`` the candidates are timed once for each problem, on random data, the first time it occurs.
The result holds for this machine, these versions and this number of threads, and for every later process:
`convhub.dispatch.tuning_store` keeps it. (``CONVHUB_TUNE=0`` ignores it; deleting the file is safe.)
"""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..callers_code import raised_by_caller
from ..errors import UnsupportedProblemError
from ..problem import Problem
from ..reference.operands import operands as draw_operands
from .choice import make_choice
from .dispatcher import Dispatcher
from .invoke import invoke
from .tuning_store import Measured, keep, recall

__all__ = ["fastest", "measure", "measured_before", "random_operands"]

logger = logging.getLogger("convhub")

ROUNDS = 5
#: A candidate whose run took this many times as long as the best so far is not timed again.
HOPELESS = 3.0
#: The same for an estimate from a small part of the problem, in which fixed costs weigh more.
PROBABLY_HOPELESS = 1000.0


def measured_before(problem: Problem, candidates: Sequence[str], dispatcher: Dispatcher) -> str | None:
    """Return the candidate that was the fastest when it was measured, or None; nothing is measured now."""
    found = recall(str(problem), _circumstances(candidates, dispatcher))
    return found.backend if found is not None and found.backend in candidates else None


def fastest(problem: Problem, candidates: Sequence[str], dispatcher: Dispatcher) -> str:
    """Return the candidate that ran `problem` fastest, from memory or by measuring now.

    Parameters
    ----------
    problem : Problem
        On the CPU.
    candidates : sequence of str
        Names of backends, all able to run it.
    """
    found = measured_before(problem, candidates, dispatcher)
    if found is not None:
        return found
    times = measure(problem, candidates, dispatcher)
    best = min(times, key=times.__getitem__)
    keep(str(problem), _circumstances(candidates, dispatcher), Measured(best, times[best]))
    return best


def _circumstances(candidates: Sequence[str], dispatcher: Dispatcher) -> str:
    """Return the circumstances that a measurement holds for."""
    backends = dispatcher.registry.backends
    versions = ", ".join(f"{n} {backends[n].origin.version}" for n in sorted(candidates))
    return f"{platform.node()}, {dispatcher.config.threads} threads, {versions}"


def measure(problem: Problem, candidates: Sequence[str], dispatcher: Dispatcher) -> dict[str, float]:
    """Return the least time, in seconds, that each candidate took in interleaved rounds.

    A candidate that fails is left out with a warning in the log, and so is one that a small part of the
    problem shows to be hopeless: loops in Python would take minutes where others take milliseconds.
    """
    operands = random_operands(problem)
    probe = _small_part(problem)
    probe_operands = random_operands(probe)
    times: dict[str, float] = {}
    calls: dict[str, Callable[[], float]] = {}
    for name in candidates:
        run_whole = _timed(name, problem, operands, dispatcher)
        try:
            if times:
                try_out = _timed(name, probe, probe_operands, dispatcher)
                try_out()
                whole = try_out() * max(1, problem.macs) / max(1, probe.macs)
                if whole > PROBABLY_HOPELESS * min(times.values()):
                    continue
            run_whole()  # Compile, and touch memory.
            times[name] = run_whole()
        # This is a plugin's code, and the caller did not ask for it; other candidates may still run.
        except Exception as error:
            if raised_by_caller(error):
                raise
            logger.warning(
                "convhub: %s is left out of tuning, since it failed at %s: %s", name, problem, error
            )
            continue
        calls[name] = run_whole
    for _ in range(ROUNDS):
        for name, run_whole in calls.items():
            if times[name] <= HOPELESS * min(times.values()):
                times[name] = min(times[name], run_whole())
    if not times:
        raise UnsupportedProblemError(f"tuning found no backend that ran {problem}; the log has the reasons")
    return times


def _small_part(problem: Problem) -> Problem:
    """Return a problem like this one of at most a few thousand multiply-accumulates for each tap."""
    groups = min(problem.groups, 4)
    inputs, outputs = problem.group_channels
    sizes = []
    for axis in (0, 1):
        reach = problem.dilation[axis] * (problem.kernel_size[axis] - 1) + 1
        sizes.append(reach + 2 * problem.stride[axis])
    return problem.replace(
        batch=1,
        groups=groups,
        in_channels=groups * min(inputs, 4),
        out_channels=groups * min(outputs, 4),
        input_size=(sizes[0], sizes[1]),
        padding=((0, 0), (0, 0)),
        output_size=(0, 0),
    )


def random_operands(problem: Problem) -> tuple[Any, ...]:
    """Return NumPy arrays for a primitive: its two operands, and None for the bias where it has one."""
    given = draw_operands(problem, seed=0, kind="exact" if "int" in problem.dtype else "normal")
    return given if problem.bias_shape else given[:2]


def _timed(
    name: str, problem: Problem, operands: tuple[Any, ...], dispatcher: Dispatcher
) -> Callable[[], float]:
    """Return a function that runs a backend once, checks its result, and returns the seconds it took."""
    registry = dispatcher.registry
    choice = make_choice(registry.backends[name], problem, dispatcher.config, registry.observers, "tuning")

    def run_once() -> float:
        start = time.perf_counter()
        invoke(choice, problem, operands, "numpy")
        return time.perf_counter() - start

    return run_once
