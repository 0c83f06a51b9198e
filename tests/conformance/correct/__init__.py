"""Backends that are right, each built in another way: the suite must find nothing in them."""

from __future__ import annotations

import functools

from convhub.backend import hookimpl
from convhub.conformance import levels
from convhub.conformance.plan import planned
from convhub.conformance.subjects import Subject
from convhub.problem import Problem
from convhub.reference.bounds import LONG

from . import compensated, fft, gather, packed, pooled, sliding, wide, winograd

__all__ = ["BACKENDS", "convhub_backends", "planned_of", "quick"]

_MODULES = (fft, sliding, gather, compensated, wide, winograd, pooled, packed)
BACKENDS = {module.backend.name: module.backend for module in _MODULES}


@hookimpl
def convhub_backends():
    """Return each of them."""
    return list(BACKENDS.values())


@functools.cache
def planned_of(name: str) -> dict[Problem, tuple[str, ...]]:
    """Return the problems of level quick with their checks, for a backend that is registered."""
    return planned("quick", Subject(name, "cpu"))


@functools.cache
def quick() -> dict[Problem, list[str]]:
    """Return the problems of level quick, each with the backends for which it is one, but for long sums.

    What the oracle says of these takes minutes, and not all of the backends add in blocks.
    """
    found: dict[Problem, list[str]] = {}
    for name, backend in BACKENDS.items():
        for problem in levels.quick(backend, "cpu"):
            if problem.terms < LONG:
                found.setdefault(problem, []).append(name)
    return found
