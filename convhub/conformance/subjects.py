"""Selects the backends and devices to check, and reduces the problems of slow backends."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..dispatch.candidates import availability
from ..dispatch.dispatcher import current_dispatcher
from ..problem import Problem
from ..reference.bounds import LONG
from ..reference.operands import operands
from .calls import compute, refused, registered
from .problems import cases
from .trial import Trial
from .verify import Finding

__all__ = [
    "BOTH",
    "SLOW_LIMIT",
    "Subject",
    "dtypes",
    "is_slow",
    "reduced",
    "refuses_all",
    "speed",
    "subjects_of",
]

#: A backend under this many multiply-accumulates a second is slow; plain Python reaches 10**6, NumPy 10**9.
SLOW = 1e7
#: The largest problem that a slow backend is given, in multiply-accumulates.
SLOW_LIMIT = 6000
#: How often a long sum is computed; together the calls may take a slow backend a second.
CALLS = 4

#: Every backend is tried in both; further dtypes that it declares are crossed with all parameters too.
BOTH = ("float32", "float64")


class Subject(NamedTuple):
    """A backend on one of its devices, under its own options such as ``"numba.vector_bits=128"``.

    `missing` says why it cannot run on this machine, if it cannot.
    """

    backend: str
    device: str
    missing: str | None = None
    options: str = ""

    def __str__(self) -> str:
        name = self.options or self.backend
        return name if self.device == "cpu" else f"{name}-{self.device}"


def subjects_of(backend: str, options: Iterable[str] = ()) -> list[Subject]:
    """Return a backend on each of its devices, without options and under each text of options.

    Raises
    ------
    UnknownBackendError
        If there is no such backend.
    """
    entry = registered(backend)
    missing = availability(entry, current_dispatcher())
    found = []
    for device in entry.backend.capabilities.devices:
        subject = Subject(backend, device)
        subject = subject._replace(missing=missing or refuses_all(subject))
        found += [subject._replace(options=text) for text in ("", *options)]
    return found


def dtypes(subject: Subject) -> tuple[str, ...]:
    """Return float32, float64 and every further dtype that the backend declares for some primitive."""
    backend = registered(subject.backend).backend
    declared = itertools.chain.from_iterable(
        backend.capabilities.dtypes_of(primitive) for primitive in backend.primitives
    )
    return tuple(dict.fromkeys((*BOTH, *declared)))


def reduced(subject: Subject, problem: Problem) -> list[Finding]:
    """Return the finding that a problem is left out because the backend is slow, or an empty list."""
    if problem.macs <= SLOW_LIMIT or not is_slow(subject):
        return []
    if problem.terms >= LONG and problem.macs * CALLS <= (speed(subject) or 0):
        return []
    reason = (
        f"reduced: slower than {SLOW:.0e} multiply-accumulates a second, so given problems of at most "
        f"{SLOW_LIMIT} only"
    )
    return [Finding(subject.backend, problem, "every check", "skipped", None, reason)]


def is_slow(subject: Subject) -> bool:
    """Return whether a backend gets small problems only."""
    measured = speed(subject)
    return measured is not None and measured < SLOW


@functools.cache
def speed(subject: Subject) -> float | None:
    """Return multiply-accumulates a second on a small problem; None if the backend runs none of them."""
    for problem in _probes(subject):
        if refused(subject.backend, problem) is not None:
            continue
        _seconds(subject, problem)  # The first call may compile or load something.
        best = max(problem.macs / _seconds(subject, problem) for _ in range(5))
        # On a busy machine waking threads may take longer than a small problem, but not than a large one.
        large = problem.replace(in_channels=problem.in_channels * 4, out_channels=problem.out_channels * 4)
        if best >= SLOW or refused(subject.backend, large) is not None:
            return best
        return max(best, large.macs / _seconds(subject, large))
    return None


def refuses_all(subject: Subject) -> str | None:
    """Return the one reason why the backend refuses every problem tried on that device, or None.

    Only problems that it declares are tried, since it need not run any others.
    """
    capabilities = registered(subject.backend).backend.capabilities
    found: str | None = None
    for problem in _probes(subject):
        if capabilities.refusal(problem) is not None:
            continue
        reason = refused(subject.backend, problem)
        if reason is None or found not in (None, reason):
            return None
        found = reason
    return found


def _probes(subject: Subject) -> Iterator[Problem]:
    """Yield problems for each primitive and dtype: first one that most backends support, then all edges."""
    usual = Problem("forward", 1, 8, 8, (14, 14), (3, 3), device=subject.device)
    others = sorted(cases.edges(BOTH, subject.device), key=lambda problem: -problem.macs)
    for probe in (usual, *others):
        for dtype in dtypes(subject):
            for primitive in registered(subject.backend).backend.primitives:
                yield probe.replace(primitive=primitive, dtype=dtype)


def _seconds(subject: Subject, problem: Problem) -> float:
    given = operands(problem, seed=0)
    start = time.perf_counter()
    compute(Trial(subject.backend, problem), given)
    return time.perf_counter() - start
