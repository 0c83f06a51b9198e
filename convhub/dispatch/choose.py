"""Chooses a backend for a problem, and says why.

A backend that is named (by argument, then `use_backend`, then configuration) is used, or refused with its
reason; it is replaced only where ``fallback = true`` allows it, and then with a warning. Where none is
named, plugins' policies are asked, then measurements where tuning is on, then the backends' order.

A choice is remembered until a setting changes: see `convhub.config.Resolved`.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Sequence

from .. import config
from ..callers_code import raised_by_caller
from ..config import Resolved
from ..errors import (
    BackendContractError,
    BackendUnavailableError,
    UnsupportedProblemError,
    describe_error,
    short_repr,
)
from ..plugins import Registry
from ..problem import Problem
from .candidates import automatic, availability, judge, verdicts
from .choice import Choice, make_choice
from .options import check_disabled, check_options, check_priority, current_registry, unknown_backend
from .request import Request

__all__ = ["NotMeasured", "choose"]


def choose(problem: Problem, wanted: Request, measure: bool = True) -> Choice:
    """Return the backend that runs `problem`.

    Parameters
    ----------
    measure : bool
        False: where tuning would have to measure first, raise `NotMeasured`.

    Raises
    ------
    UnknownBackendError
        If the named backend is not registered.
    BackendUnavailableError
        If the named backend cannot run on this machine.
    UnsupportedProblemError
        If the named backend, or every backend, declines the problem; with the reason of each.
    """
    name, source, overrides = wanted
    resolved = config.current(overrides)
    choice = resolved.choices.get((problem, name, source))
    if choice is None:
        choice = _decide(problem, wanted, resolved, measure)
        if len(resolved.choices) >= resolved.room:  # each is small, but shapes may vary without end
            resolved.choices.clear()
        resolved.choices[problem, name, source] = choice
    return choice


class NotMeasured(Exception):  # noqa: N818 - which is nothing wrong, and never leaves convhub
    """A choice depends on a measurement that has not been made; `candidates` are to be measured."""

    def __init__(self, candidates: Sequence[str]) -> None:
        super().__init__(", ".join(candidates))
        self.candidates = tuple(candidates)


def _decide(problem: Problem, wanted: Request, resolved: Resolved, measure: bool) -> Choice:
    name, source, _ = wanted
    if name is None:
        name = resolved.backend_for(problem.device)
        source = resolved.place_of("backend", problem.device)
    elif name == "auto":
        name = None
    registry = current_registry(resolved)
    check_options(registry, resolved)
    if name is None:
        name, source = _pick(problem, _able(problem, registry, resolved), registry, resolved, measure)
        return make_choice(registry.backends[name], problem, resolved, source)
    if name not in registry.backends:
        raise unknown_backend(name, source, registry, resolved)
    # Only the named one is asked: another may need a driver to answer, and takes its time.
    backend = registry.backends[name].backend
    reason, fault = judge(backend, problem, resolved)
    if reason is None:
        return make_choice(registry.backends[name], problem, resolved, source)
    if not resolved.settings.fallback:
        message = f"backend {name!r} (from {source}) does not run {problem}: {reason}"
        on_device = problem.device in backend.capabilities.devices
        if on_device and availability(backend, resolved) is not None:
            raise BackendUnavailableError(message)
        hint = "" if fault else ". With fallback = true the next backend that can runs it"
        raise UnsupportedProblemError(message + hint)
    instead = _able(problem, registry, resolved)[0]
    _warn_once(name, instead, reason, problem, resolved)
    return make_choice(registry.backends[instead], problem, resolved, f"fallback from {name}")


def _able(problem: Problem, registry: Registry, resolved: Resolved) -> list[str]:
    """Return the backends that may be chosen by themselves and can run `problem`, in order.

    Where neither a policy nor a measurement is to choose among them, the first is all that is needed, and
    those behind it are not asked.

    Raises
    ------
    UnsupportedProblemError
        If there are none, with what each backend says.
    """
    check_disabled(registry, resolved)
    check_priority(problem.device, registry, resolved)
    tried = automatic(problem.device, registry, resolved)
    first_is_enough = not (registry.choosers or resolved.settings.tune)
    able: list[str] = []
    for name in tried:
        answer = judge(registry.backends[name].backend, problem, resolved)
        if answer.reason is None:
            able.append(name)
            if first_is_enough:
                break
        elif answer.fault and not able:
            _warn_of_fault(name, answer.reason, resolved)
    if able:
        return able
    lines = [f"no backend that may be chosen by itself runs {problem}:"]
    lines += [
        f"  {name}: {reason or 'could, but runs only when it is named'}"
        for name, reason in verdicts(problem, resolved)
    ]
    raise UnsupportedProblemError("\n".join(lines))


def _pick(
    problem: Problem, candidates: list[str], registry: Registry, resolved: Resolved, measure: bool
) -> tuple[str, str]:
    """Return the name that policies, measurements or the order give, and which of these it was."""
    for chooser, origin in registry.choosers:
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
                f"convhub_choose of {origin} gave {short_repr(name)} for {problem}; it must give one of "
                f"{candidates}, or None"
            )
        return name, str(origin)
    # Work on a GPU is queued, so that timing it is a matter of its own.
    if resolved.settings.tune and len(candidates) > 1 and problem.device == "cpu":
        from . import tuning

        if measure:
            return tuning.fastest(problem, candidates, registry, resolved), "tuned"
        known = tuning.measured_before(problem, candidates, registry, resolved)
        if known is None:
            raise NotMeasured(candidates)
        return known, "tuned"
    if resolved.priority_for(problem.device):
        return candidates[0], resolved.sources["priority"]
    return candidates[0], "default order"


def _frames_within() -> int:
    """Return how many frames lie between `warnings.warn` and the line that called convhub."""
    frame, count = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("convhub", "torch"):
        frame, count = frame.f_back, count + 1
    return count


def _warn_of_fault(name: str, reason: str, resolved: Resolved) -> None:
    """Warn that a backend is passed over because of a fault of its own, which is no honest refusal."""
    key = ("passed over", name, reason)
    if key not in resolved.memory:
        resolved.memory[key] = True
        warnings.warn(
            f"backend {name!r} is passed over: {reason}", RuntimeWarning, stacklevel=_frames_within()
        )


def _warn_once(name: str, instead: str, reason: str, problem: Problem, resolved: Resolved) -> None:
    # Of one kind are problems against which the same is said but for numbers: sizes vary without end.
    kind = re.sub(r"\d+", "#", reason)
    key = ("warned", name, problem.primitive, problem.dtype, kind)
    if key not in resolved.memory:
        resolved.memory[key] = True
        warnings.warn(
            f"backend {name!r} does not run {problem}: {reason}; {instead!r} runs it, since fallback is on",
            RuntimeWarning,
            stacklevel=_frames_within(),
        )
