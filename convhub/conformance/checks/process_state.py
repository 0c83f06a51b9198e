"""Checks that a call leaves the state of the process as it was."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from ...arrays import to_numpy
from ...dispatch.choose import choose
from ...dispatch.invoke import invoke
from ...dispatch.request import BackendRequest
from ...reference.operands import operands
from ...reference.oracle import Array, Operands
from ..calls import caller_library, compute, deliver, with_more_images
from ..trial import CheckFailure, Trial
from . import process_parts, torch_parts
from .process_parts import Part
from .sizes import judge_integers

__all__ = ["process_state", "restored"]

#: How many images more make a problem that no other check computes.
MORE_IMAGES = 3
#: The longest text of a value that is shown.
SHOWN = 80


def process_state(trial: Trial) -> float:
    """Check that a call changes nothing of the process, whatever the caller has set.

    Calls are made under the state as it is, and under another. So a setting that a backend makes at
    every call shows too, although it has been made before. All parts are restored at the end.
    """
    given = operands(trial.problem, trial.seed, "exact", bias=True)
    # What libraries do when they are imported is not the backend's.
    ratio = judge_integers(trial, compute(trial, given), given, "small integers")
    call = _chosen(trial, given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        everything = [*process_parts.parts(), *torch_parts.parts()]
        with _restoring(everything):
            _first_call_of_another(trial, everything)
            _unchanged(trial, everything, call, "the call")
            for part in everything:
                if part.other is not None:
                    part.write(part.other(part.read()))
            result = _unchanged(trial, everything, call, "under other settings, the call")
    return max(ratio, judge_integers(trial, result, given, "small integers, under other settings"))


def _first_call_of_another(trial: Trial, everything: list[Part]) -> None:
    """Check the first call of a problem, one that no other check computes."""
    one = with_more_images(trial, MORE_IMAGES)
    if one is not None:
        call = _chosen(one, operands(one.problem, trial.seed, "exact", bias=True))
        _unchanged(one, everything, call, "the first call of a problem")


def _chosen(trial: Trial, given: Operands) -> Callable[[], Array]:
    """Return a function that calls the backend, with what the caller has configured already read."""
    problem, library = trial.problem, caller_library(trial)
    choice = choose(problem, BackendRequest(trial.backend, "argument"))
    delivered = tuple(None if o is None else deliver(o, library) for o in given)
    if problem.primitive == "grad_weight":
        delivered = delivered[:2]
    return lambda: to_numpy(invoke(choice, problem, delivered, library))


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Restore the state of the process at the end of a block."""
    with _restoring([*process_parts.parts(), *torch_parts.parts()]):
        yield


@contextlib.contextmanager
def _restoring(parts: list[Part]) -> Iterator[None]:
    before = [part.read() for part in parts]
    try:
        yield
    finally:
        for part, value in zip(parts, before, strict=True):
            if part.read() != value:
                part.write(value)


def _unchanged(trial: Trial, parts: list[Part], call: Callable[[], Array], what: str) -> Array:
    """Return the call's result; fail if a part of the state has changed."""
    before = [part.read() for part in parts]
    result = call()
    after = [part.read() for part in parts]
    for part, was, is_now in zip(parts, before, after, strict=True):
        if was != is_now:
            raise CheckFailure(
                trial, f"{what} changed {part.name}{_difference(was, is_now)}; it must leave it as it was"
            )
    return result


def _difference(was: Any, is_now: Any) -> str:
    """Return how a value has changed in words, if that is short.

    Examples
    --------
    >>> _difference(1, 2), _difference({"a": 1, "b": 2}, {"a": 1, "b": 3})
    (' from 1 to 2', ' at b from 2 to 3')
    """
    if isinstance(was, dict) and isinstance(is_now, dict):
        for key in {**was, **is_now}:
            if was.get(key) != is_now.get(key):
                return f" at {key}{_difference(was.get(key), is_now.get(key))}"
    text = f" from {was!r} to {is_now!r}"
    return text if len(text) <= SHOWN else ""
