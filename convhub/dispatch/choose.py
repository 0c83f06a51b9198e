"""Chooses a backend for a problem, and says why.

A named backend (by argument, then `use_backend`, then configuration) is used, or refused with its reason; it
is replaced only where ``fallback = true`` allows it, and then with a warning. Where none is named, plugins'
policies decide, then measurements if tuning is on, then the backends' order.

A choice is remembered until a setting changes: see `convhub.dispatch.dispatcher`.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Sequence

from ..callers_code import raised_by_caller
from ..config import current
from ..errors import (
    BackendContractError,
    BackendUnavailableError,
    UnsupportedProblemError,
    describe_error,
    short_repr,
)
from ..problem import Problem
from .candidates import automatic, availability, judge, verdicts
from .choice import Choice, make_choice
from .dispatcher import Dispatcher, known_dispatcher, make_dispatcher
from .names import check_disabled, check_options, check_priority, unknown_backend
from .request import BackendRequest

__all__ = ["NotMeasured", "choose"]


def choose(problem: Problem, request: BackendRequest, measure: bool = True) -> Choice:
    """Return the backend that runs `problem`.

    Parameters
    ----------
    measure : bool
        If False, raise `NotMeasured` where tuning would have to measure first.

    Raises
    ------
    UnknownBackendError
        If the named backend is not registered.
    BackendUnavailableError
        If the named backend cannot run on this machine.
    UnsupportedProblemError
        If the named backend, or every backend, declines the problem; the message has the reason of each.
    """
    name, source, overrides = request
    config = current(overrides)
    # This is `current_dispatcher` inlined: calling a function would take twice as long.
    dispatcher = known_dispatcher(config) or make_dispatcher(config)
    choice = dispatcher.choices.get((problem, name, source))
    if choice is None:
        choice = _decide(problem, request, dispatcher, measure)
        if len(dispatcher.choices) >= dispatcher.most_choices:
            dispatcher.choices.clear()
        dispatcher.choices[problem, name, source] = choice
    return choice


class NotMeasured(Exception):  # noqa: N818 - which is nothing wrong, and never leaves convhub
    """A choice depends on a measurement that has not been made; `candidates` are to be measured."""

    def __init__(self, candidates: Sequence[str]) -> None:
        super().__init__(", ".join(candidates))
        self.candidates = tuple(candidates)


def _decide(problem: Problem, request: BackendRequest, dispatcher: Dispatcher, measure: bool) -> Choice:
    registry, config = dispatcher.registry, dispatcher.config
    name, source, _ = request
    if name is None:
        name = config.backend_for(problem.device)
        source = config.place_of("backend", problem.device)
    elif name == "auto":
        name = None
    check_options(dispatcher)
    if name is None:
        name, source = _pick(problem, _able(problem, dispatcher), dispatcher, measure)
    elif name not in registry.backends:
        raise unknown_backend(name, source, dispatcher)
    else:
        name, source = _named_or_fallback(name, source, problem, dispatcher)
    return make_choice(registry.backends[name], problem, config, registry.observers, source)


def _named_or_fallback(name: str, source: str, problem: Problem, dispatcher: Dispatcher) -> tuple[str, str]:
    """Return the named backend or the one that fallback replaces it with, and the source of that choice.

    Only the named one is asked: another may need a driver to answer, which takes time.
    """
    registered = dispatcher.registry.backends[name]
    refusal = judge(registered, problem, dispatcher)
    if refusal is None:
        return name, source
    if not dispatcher.config.settings.fallback:
        message = f"backend {name!r} (from {source}) does not run {problem}: {refusal.reason}"
        on_device = problem.device in registered.backend.capabilities.devices
        if on_device and availability(registered, dispatcher) is not None:
            raise BackendUnavailableError(message)
        hint = "" if refusal.fault else ". With fallback = true, the next backend that can run it is used"
        raise UnsupportedProblemError(message + hint)
    instead = _able(problem, dispatcher)[0]
    _warn_once(name, instead, refusal.reason, problem, dispatcher)
    return instead, f"fallback from {name}"


def _able(problem: Problem, dispatcher: Dispatcher) -> list[str]:
    """Return the backends that automatic choice may take and that can run `problem`, in order.

    Where neither a policy nor a measurement chooses among them, only the first is needed, and those after it
    are not asked.

    Raises
    ------
    UnsupportedProblemError
        If there are none; the message has each backend's reason.
    """
    check_disabled(dispatcher)
    check_priority(problem.device, dispatcher)
    registry = dispatcher.registry
    first_is_enough = not (registry.choosers or dispatcher.config.settings.tune)
    able: list[str] = []
    for name in automatic(problem.device, dispatcher):
        refusal = judge(registry.backends[name], problem, dispatcher)
        if refusal is None:
            able.append(name)
            if first_is_enough:
                break
        elif refusal.fault and not able:
            _warn_of_fault(name, refusal.reason, dispatcher)
    if able:
        return able
    lines = [f"no backend that may be chosen automatically runs {problem}:"]
    lines += [
        f"  {name}: {reason or 'can run it, but only when it is named'}"
        for name, reason in verdicts(problem, dispatcher)
    ]
    raise UnsupportedProblemError("\n".join(lines))


def _pick(problem: Problem, candidates: list[str], dispatcher: Dispatcher, measure: bool) -> tuple[str, str]:
    """Return the name that policies, measurements or the order give, and which of these gave it."""
    config = dispatcher.config
    for chooser, origin in dispatcher.registry.choosers:
        try:
            name = chooser(problem=problem, candidates=tuple(candidates))
        except BaseException as error:
            if raised_by_caller(error):
                raise
            raise BackendContractError(
                f"convhub_choose of {origin} failed at {problem}: {describe_error(error)}"
            ) from error
        if name is None:
            continue
        if type(name) is not str or name not in candidates:
            raise BackendContractError(
                f"convhub_choose of {origin} returned {short_repr(name)} for {problem}; it must return "
                f"one of {candidates}, or None"
            )
        return name, str(origin)
    # Work on a GPU is queued, so timing it would need other means.
    if config.settings.tune and len(candidates) > 1 and problem.device == "cpu":
        from . import tuning

        if measure:
            return tuning.fastest(problem, candidates, dispatcher), "tuned"
        known = tuning.measured_before(problem, candidates, dispatcher)
        if known is None:
            raise NotMeasured(candidates)
        return known, "tuned"
    if config.priority_for(problem.device):
        return candidates[0], config.sources["priority"]
    return candidates[0], "default order"


def _frames_within() -> int:
    """Return how many frames lie between `warnings.warn` and the line that called convhub."""
    frame, count = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("convhub", "torch"):
        frame, count = frame.f_back, count + 1
    return count


def _warn_of_fault(name: str, reason: str, dispatcher: Dispatcher) -> None:
    """Warn that a backend is passed over because it is faulty, not because it declines the problem."""
    warning = ("passed over", name, reason)
    if warning not in dispatcher.memory.warnings:
        dispatcher.memory.warnings.add(warning)
        warnings.warn(
            f"backend {name!r} is passed over: {reason}", RuntimeWarning, stacklevel=_frames_within()
        )


def _warn_once(name: str, instead: str, reason: str, problem: Problem, dispatcher: Dispatcher) -> None:
    # Warn once for all problems whose reasons differ in numbers only: sizes vary without end.
    kind = re.sub(r"\d+", "#", reason)
    warning = ("fallback", name, problem.primitive, problem.dtype, kind)
    if warning not in dispatcher.memory.warnings:
        dispatcher.memory.warnings.add(warning)
        warnings.warn(
            f"backend {name!r} does not run {problem}: {reason}; {instead!r} runs it, since fallback is on",
            RuntimeWarning,
            stacklevel=_frames_within(),
        )
