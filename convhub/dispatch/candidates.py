"""Asks each registered backend whether it can run a problem, and if not, why."""

from __future__ import annotations

from typing import NamedTuple

from .. import config
from ..arrays import numpy_lacks
from ..backend import Backend
from ..config import Resolved
from ..errors import ArgumentTypeError, BackendContractError, short_repr
from ..plugins import Registry
from ..problem import Problem
from .options import current_registry, registered_as, run_options
from .queries import Reply, accuracy_of, ask, ask_availability

__all__ = [
    "Verdict",
    "automatic",
    "availability",
    "available_backends",
    "judge",
    "judge_availability",
    "reason_against",
    "verdicts",
]


class Verdict(NamedTuple):
    """What became of one backend for one problem.

    Parameters
    ----------
    name : str
        Of the backend.
    reason : str or None
        Why it cannot run the problem; None if it can.
    """

    name: str
    reason: str | None


def available_backends(device: str | None = None) -> list[str]:
    """Return the backends that can run on this machine, in the order in which they would be tried.

    Those that run only when they are named stand last.

    Parameters
    ----------
    device : {"cpu", "cuda"}, optional
        By default, backends of any device.

    Returns
    -------
    list of str

    Raises
    ------
    ArgumentTypeError
        If `device` is not one of these.

    Examples
    --------
    >>> import convhub
    >>> "numpy" in convhub.available_backends("cpu")
    True
    """
    if device is not None and (type(device) is not str or device not in ("cpu", "cuda")):
        raise ArgumentTypeError(f"device is {short_repr(device)}; it must be 'cpu', 'cuda' or None")
    resolved = config.current()
    registry = current_registry(resolved)
    names: list[str] = []
    for kind in ("cpu", "cuda") if device is None else (device,):
        tried = automatic(kind, registry, resolved)
        others = [n for n in registry.backends if n not in tried]
        for name in [*tried, *others]:
            backend = registry.backends[name].backend
            fits = kind in backend.capabilities.devices and name not in names
            if fits and availability(backend, resolved) is None:
                names.append(name)
    return names


def verdicts(problem: Problem, resolved: Resolved | None = None) -> tuple[Verdict, ...]:
    """Return what each registered backend says to `problem`, those first that would be tried first."""
    resolved = resolved or config.current()
    registry = current_registry(resolved)
    tried = automatic(problem.device, registry, resolved)
    others = sorted(name for name in registry.backends if name not in tried)
    return tuple(
        Verdict(name, reason_against(registry.backends[name].backend, problem, resolved))
        for name in [*tried, *others]
    )


def automatic(device: str, registry: Registry, resolved: Resolved) -> list[str]:
    """Return the names that are tried where none is asked for, in order."""
    configured = resolved.priority_for(device)
    if configured:
        return [name for name in configured if name in registry.backends]
    preferences = {n: r.backend.preference.get(device) for n, r in registry.backends.items()}
    ranked = [(-preference, name) for name, preference in preferences.items() if preference is not None]
    return [name for _, name in sorted(ranked)]


def availability(backend: Backend, resolved: Resolved) -> str | None:
    """Return why a backend cannot run on this machine, or None; asked once for each set of settings."""
    return judge_availability(backend, resolved).reason


def reason_against(backend: Backend, problem: Problem, resolved: Resolved) -> str | None:
    """Return why `backend` does not run `problem`, or None."""
    return judge(backend, problem, resolved).reason


def judge_availability(backend: Backend, resolved: Resolved) -> Reply:
    """Return the same as `availability`, and whether it is a fault of the backend."""
    key = ("availability", backend)
    if key not in resolved.memory:
        answer = ask_availability(backend.availability)
        resolved.memory[key] = _with_owner(answer, backend, resolved)
    return resolved.memory[key]  # type: ignore[no-any-return]


def judge(backend: Backend, problem: Problem, resolved: Resolved) -> Reply:
    """Return the same as `reason_against`, and whether it is a fault of the backend."""
    declined = backend.capabilities.refusal(problem)
    if problem.device in backend.capabilities.devices:
        missing = judge_availability(backend, resolved)
        if missing.reason is not None:
            return Reply(f"not available: {missing.reason}", missing.fault)
        if getattr(backend, problem.primitive) is None:
            offered = ", ".join(backend.primitives) or "nothing"
            return Reply(f"has no {problem.primitive}; it offers {offered}")
    if declined is not None:
        return Reply(declined)
    # What a backend declares it can run where NumPy has the type: bfloat16 takes a library more.
    lacking = numpy_lacks(problem.dtype) if backend.capabilities.arrays == "numpy" else None
    if lacking is not None:
        return Reply(lacking)
    if resolved.settings.accuracy == "strict" and backend.capabilities.accuracy != "componentwise":
        loose = _too_loose(backend, problem, resolved)
        if loose.reason is not None:
            return loose
    answer = ask("supports", lambda: backend.supports(problem))
    return _with_owner(answer, backend, resolved)


def _too_loose(backend: Backend, problem: Problem, resolved: Resolved) -> Reply:
    try:
        accuracy = accuracy_of(registered_as(backend, resolved), problem, run_options(backend, resolved))
    except BackendContractError as error:
        return Reply(str(error), fault=True)
    if accuracy == "componentwise":
        return Reply(None)
    return Reply(f"is of the accuracy class {accuracy}, and accuracy is strict")


def _with_owner(answer: Reply, backend: Backend, resolved: Resolved) -> Reply:
    """Return an answer, whose reason names the plugin and its distribution where they are at fault."""
    if not answer.fault:
        return answer
    return Reply(f"{answer.reason} ({registered_as(backend, resolved).origin})", fault=True)
