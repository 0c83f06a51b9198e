"""Runs one primitive on arrays of any library: choose, invoke, check, notify observers, return."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from types import ModuleType

from ..arrays import Array
from ..callers_code import raised_by_caller
from ..hookspecs import CallEvent
from ..opaque import hidden
from ..problem import Problem
from .choose import choose
from .invoke import Operands, invoke
from .request import BackendRequest

__all__ = ["execute", "internal_observers"]

logger = logging.getLogger("convhub")


#: Notified of every primitive that runs in this process, like plugins' observers, but added and removed
#: without reloading all plugins: `convhub.conformance.watch` does so for each check.
internal_observers: list[Callable[[CallEvent], None]] = []


# Code that torch may trace calls `execute.execute`: `hidden` rebinds the name in this module.
@hidden
def execute(problem: Problem, operands: Operands, request: BackendRequest, library: str) -> Array:
    """Return the result of one primitive, computed by the backend that is chosen for it."""
    choice = choose(problem, request)
    if choice.plain and not internal_observers:
        return invoke(choice, problem, operands, library)
    if choice.verbose:
        _show_log()  # before the call, which may have the backend log what takes it so long
    before = _full_check().snapshot(operands) if choice.check else None
    start = time.perf_counter()
    result = invoke(choice, problem, operands, library)
    milliseconds = (time.perf_counter() - start) * 1e3
    if before is not None:
        _full_check().check(choice, problem, operands, library, before, result)
    event = CallEvent(problem, choice.backend.name, choice.algorithm, milliseconds, choice.source)
    if choice.verbose:
        _log(event)
    for internal in internal_observers:
        internal(event)
    for observer, origin in choice.observers:
        try:
            observer(event=event)
        # The result is there and right; a failing observer must neither discard it nor fail silently.
        except BaseException as error:
            if raised_by_caller(error):
                raise
            logger.exception("convhub: convhub_called of %s failed at %s", origin, event.problem)
    return result


@functools.cache
def _full_check() -> ModuleType:
    """Return the module that checks results fully, loaded only where it is needed."""
    from . import full_check

    return full_check


def _show_log() -> None:
    if not logger.hasHandlers():
        # A user who sets CONVHUB_VERBOSE without configuring logging wants to see the lines.
        logger.addHandler(logging.StreamHandler())
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


def _log(event: CallEvent) -> None:
    algorithm = f" ({event.algorithm})" if event.algorithm else ""
    logger.info(
        "convhub: %s -> %s%s, %.3f ms, by %s",
        event.problem,
        event.backend,
        algorithm,
        event.milliseconds,
        event.source,
    )
