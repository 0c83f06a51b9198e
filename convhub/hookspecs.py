"""Declares the hooks that a plugin may implement, by pluggy.

A plugin is a module (or any object) named in the entry-point group ``convhub``; it implements any of
these with ``@convhub.backend.hookimpl``. They are asked when plugins are loaded and when a choice is made;
only `convhub_called` at each primitive, and only where a plugin has it: see `convhub.plugins`.
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
        What ran.
    backend : str
        The name of the backend that ran it.
    algorithm : str
        What the backend calls its way of doing it; may be empty.
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
    """Return the backends that this plugin brings."""
    raise NotImplementedError


@hookspec(firstresult=True)
def convhub_choose(problem: Problem, candidates: Sequence[str]) -> str | None:
    """Return the one of `candidates`, all able to run `problem`, that is to run it, or None to pass.

    Parameters
    ----------
    problem : Problem
        What is to be run.
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
