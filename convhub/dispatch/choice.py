"""Holds the backend that runs a problem, with everything that calling it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..backend import Backend, RunOptions
from ..config import Config
from ..plugins import Hook, Origin, RegisteredBackend
from ..problem import Problem
from .options import run_options
from .queries import algorithm_of

__all__ = ["Choice", "make_choice"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The backend that runs a problem, and everything needed to call it.

    `arrays` is the library whose arrays it takes. `plain` is True where a call needs nothing else: no line to
    log, no observer, no full check.
    """

    backend: Backend
    origin: Origin
    arrays: str
    function: Callable[..., Any]
    options: RunOptions
    algorithm: str
    source: str
    observers: tuple[Hook, ...]
    verbose: bool
    check: bool
    plain: bool
    result_shape: tuple[int, ...]

    @property
    def registered(self) -> RegisteredBackend:
        """The backend and its origin; its text names both."""
        return RegisteredBackend(self.backend, self.origin)


def make_choice(
    registered: RegisteredBackend, problem: Problem, config: Config, observers: tuple[Hook, ...], source: str
) -> Choice:
    """Return the choice of a backend that is known to be able to run `problem`.

    Parameters
    ----------
    observers : tuple of Hook
        Those of all plugins.
    source : str
        What made the choice.
    """
    backend, origin = registered
    options = run_options(registered, config)
    verbose, check = config.settings.verbose, config.settings.check
    return Choice(
        backend,
        origin,
        backend.capabilities.arrays,
        getattr(backend, problem.primitive),
        options,
        algorithm_of(registered, problem, options),
        source,
        observers,
        verbose,
        check,
        not (observers or verbose or check),
        problem.result_shape,
    )
