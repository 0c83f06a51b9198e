"""Declares the hooks that a plugin may implement, using pluggy.

A plugin is a module (or any object) named in the entry-point group ``convhub``; it implements any of
these with ``@convhub.backend.hookimpl``. They are called when plugins are loaded and when a choice is made;
only `convhub_called` is called at each primitive, if a plugin has it: see `convhub.plugins`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pluggy

from .backend import Backend, hookimpl
from .problem import Problem

__all__ = ["CallEvent", "convhub_backends", "convhub_called", "convhub_choose", "hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("convhub")


class CallEvent(NamedTuple):
    """One primitive that has run.

    Parameters
    ----------
    problem : Problem
        The problem that ran.
    backend : str
        The name of the backend that ran it.
    algorithm : str
        The backend's name for its algorithm; may be empty.
    milliseconds : float
        The caller's time; work queued on a GPU is not awaited.
    source : str
        Where the choice of the backend came from.
    """

    problem: Problem
    backend: str
    algorithm: str
    milliseconds: float
    source: str


@hookspec
def convhub_backends() -> Sequence[Backend]:
    """Return the backends that this plugin provides."""
    raise NotImplementedError


@hookspec(firstresult=True)
def convhub_choose(problem: Problem, candidates: Sequence[str]) -> str | None:
    """Choose one of `candidates`, which can all run `problem`, to run it, or return None to pass.

    Parameters
    ----------
    problem : Problem
        The problem to run.
    candidates : sequence of str
        Names of backends, in the order in which they would be tried.
    """


@hookspec
def convhub_called(event: CallEvent) -> None:
    """Observe one primitive that has just run.

    Parameters
    ----------
    event : CallEvent
        What ran, where, and how long it took.
    """
