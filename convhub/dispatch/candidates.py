"""Asks each registered backend whether it can run a problem, and if not, why."""

from __future__ import annotations

from typing import NamedTuple

from ..arrays import numpy_lacks
from ..config import Config
from ..errors import ArgumentTypeError, BackendContractError, short_repr
from ..plugins import Origin, RegisteredBackend
from ..problem import Problem
from .dispatcher import Dispatcher, current_dispatcher
from .options import run_options
from .queries import Refusal, accuracy_of, ask, ask_availability

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
    """Whether one backend can run one problem.

    Parameters
    ----------
    name : str
        The backend's name.
    reason : str or None
        Why it cannot run the problem; None if it can.
    """

    name: str
    reason: str | None


def available_backends(device: str | None = None) -> list[str]:
    """Return the backends that can run on this machine, in the order in which they would be tried.

    Backends that run only when they are named come last.

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
    dispatcher = current_dispatcher()
    backends = dispatcher.registry.backends
    names: list[str] = []
    for kind in ("cpu", "cuda") if device is None else (device,):
        tried = automatic(kind, dispatcher)
        others = [n for n in backends if n not in tried]
        for name in [*tried, *others]:
            registered = backends[name]
            fits = kind in registered.backend.capabilities.devices and name not in names
            if fits and availability(registered, dispatcher) is None:
                names.append(name)
    return names


def verdicts(problem: Problem, dispatcher: Dispatcher) -> tuple[Verdict, ...]:
    """Return each registered backend's verdict on `problem`, in the order in which they would be tried."""
    backends = dispatcher.registry.backends
    tried = automatic(problem.device, dispatcher)
    others = sorted(name for name in backends if name not in tried)
    return tuple(
        Verdict(name, reason_against(backends[name], problem, dispatcher)) for name in [*tried, *others]
    )


def automatic(device: str, dispatcher: Dispatcher) -> list[str]:
    """Return the names that automatic choice tries, in order."""
    backends = dispatcher.registry.backends
    configured = dispatcher.config.priority_for(device)
    if configured:
        return [name for name in configured if name in backends]
    preferences = {n: r.backend.preference.get(device) for n, r in backends.items()}
    ranked = [(-preference, name) for name, preference in preferences.items() if preference is not None]
    return [name for _, name in sorted(ranked)]


def availability(registered: RegisteredBackend, dispatcher: Dispatcher) -> str | None:
    """Return why a backend cannot run on this machine, or None; asked once for each set of settings."""
    refusal = judge_availability(registered, dispatcher)
    return None if refusal is None else refusal.reason


def reason_against(registered: RegisteredBackend, problem: Problem, dispatcher: Dispatcher) -> str | None:
    """Return why a backend does not run `problem`, or None."""
    refusal = judge(registered, problem, dispatcher)
    return None if refusal is None else refusal.reason


def judge_availability(registered: RegisteredBackend, dispatcher: Dispatcher) -> Refusal | None:
    """Return the same as `availability`, and whether it is a fault of the backend."""
    backend, origin = registered
    known = dispatcher.memory.availability
    if backend not in known:
        known[backend] = _with_owner(ask_availability(backend.availability), origin)
    return known[backend]


def judge(registered: RegisteredBackend, problem: Problem, dispatcher: Dispatcher) -> Refusal | None:
    """Return the same as `reason_against`, and whether it is a fault of the backend."""
    backend, origin = registered
    declined = backend.capabilities.refusal(problem)
    if problem.device in backend.capabilities.devices:
        missing = judge_availability(registered, dispatcher)
        if missing is not None:
            return Refusal(f"not available: {missing.reason}", missing.fault)
        if getattr(backend, problem.primitive) is None:
            offered = ", ".join(backend.primitives) or "nothing"
            return Refusal(f"has no {problem.primitive}; it offers {offered}")
    if declined is not None:
        return Refusal(declined)
    # A backend on NumPy arrays needs NumPy to have the declared type: bfloat16 needs another library.
    lacking = numpy_lacks(problem.dtype) if backend.capabilities.arrays == "numpy" else None
    if lacking is not None:
        return Refusal(lacking)
    if dispatcher.config.settings.accuracy == "strict" and backend.capabilities.accuracy != "componentwise":
        loose = _too_loose(registered, problem, dispatcher.config)
        if loose is not None:
            return loose
    return _with_owner(ask("supports", lambda: backend.supports(problem)), origin)


def _too_loose(registered: RegisteredBackend, problem: Problem, config: Config) -> Refusal | None:
    try:
        accuracy = accuracy_of(registered, problem, run_options(registered, config))
    except BackendContractError as error:
        return Refusal(str(error), fault=True)
    if accuracy == "componentwise":
        return None
    return Refusal(f'has the accuracy class {accuracy}; where accuracy = "strict" it must be componentwise')


def _with_owner(refusal: Refusal | None, origin: Origin) -> Refusal | None:
    """Return the refusal; where it is a fault, its reason names the plugin and its distribution."""
    if refusal is None or not refusal.fault:
        return refusal
    return Refusal(f"{refusal.reason} ({origin})", fault=True)
