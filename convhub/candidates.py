"""What each registered backend says to a problem: whether it can run it, and if not, why."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from . import config, plugins
from .answers import Reply, accuracy_of, ask, ask_availability
from .arrays import numpy_lacks
from .backend import Backend, RunOptions
from .callers_code import raised_by_caller
from .config import Resolved
from .errors import (
    ArgumentTypeError,
    BackendContractError,
    ConfigurationError,
    PluginError,
    UnknownBackendError,
    did_you_mean,
    said,
    shown,
)
from .plugins import Origin, Registered, Registry
from .problem import Problem

__all__ = [
    "Verdict",
    "automatic",
    "availability",
    "available_backends",
    "check_options",
    "check_priority",
    "current_registry",
    "judge",
    "judge_availability",
    "reason_against",
    "run_options",
    "unknown",
    "unknown_backend",
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


def current_registry(resolved: Resolved | None = None) -> Registry:
    """Return the plugins' backends under the settings in force."""
    settings = (resolved or config.current()).settings
    return plugins.registry(settings.plugins, settings.disable_plugins)


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
        raise ArgumentTypeError(f"device is {shown(device)}; it must be 'cpu', 'cuda' or None")
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
        accuracy = accuracy_of(_registered(backend, resolved), problem, run_options(backend, resolved))
    except BackendContractError as error:
        return Reply(str(error), fault=True)
    if accuracy == "componentwise":
        return Reply(None)
    return Reply(f"is of the accuracy class {accuracy}, and accuracy is strict")


def _with_owner(answer: Reply, backend: Backend, resolved: Resolved) -> Reply:
    """Return an answer, whose reason names the plugin and its distribution where they are at fault."""
    if not answer.fault:
        return answer
    return Reply(f"{answer.reason} ({_registered(backend, resolved).origin})", fault=True)


def _registered(backend: Backend, resolved: Resolved) -> Registered:
    found = current_registry(resolved).backends.get(backend.name)
    if found is not None and found.backend is backend:
        return found
    return Registered(backend, Origin("unknown", "no distribution that is registered", ""))


def check_priority(device: str, registry: Registry, resolved: Resolved) -> None:
    """Refuse a configured order with a name in it that no backend has.

    Raises
    ------
    UnknownBackendError
        With the nearest right name. What is named by a call does not ask for the order, and goes on.
    """
    for name in resolved.priority_for(device):
        if name not in registry.backends:
            raise unknown_backend(name, resolved.sources["priority"], registry)


def check_options(registry: Registry, resolved: Resolved) -> None:
    """Refuse a table of options for a backend that does not exist.

    Raises
    ------
    ConfigurationError
        If ``[options.NAME]`` has a name that no plugin has.
    """
    settings = resolved.settings
    if settings.disable_plugins or not settings.plugins:
        return  # whose options they are cannot be known of a plugin that is not loaded
    known = {*registry.backends, *(failure.name for failure in registry.failures)}
    for name in sorted(resolved.settings.options.keys() - known):
        raise ConfigurationError(
            f"{resolved.place_of('options', name)}: [options.{name}] is for no backend; there are "
            f"{', '.join(registry.backends)}.{did_you_mean(name, known)}"
        )


def run_options(backend: Backend, resolved: Resolved) -> RunOptions:
    """Return the settings that concern the arithmetic of `backend`, with its own options typed by it.

    Raises
    ------
    ConfigurationError
        If ``[options.NAME]`` holds what the backend does not know.
    BackendContractError
        If the type that the backend declares for its options cannot be made.
    """
    own: Any = None
    table = resolved.settings.options.get(backend.name, {})
    known = {field.name for field in dataclasses.fields(backend.options)} if backend.options else set()
    for word in sorted(table.keys() - known):
        place = resolved.place_of("options", backend.name, word)
        raise ConfigurationError(
            f"{place}: [options.{backend.name}] has {word!r}; that backend has "
            f"{', '.join(sorted(known)) or 'no options'}.{did_you_mean(word, known)}"
        )
    if backend.options is not None:
        import msgspec

        try:
            own = msgspec.convert(table, backend.options)
        except msgspec.ValidationError as error:
            source = resolved.place_of("options", backend.name)
            raise ConfigurationError(
                f"{source}: [options.{backend.name}] is {shown(table)}: {error}"
            ) from error
        except BaseException as error:
            if raised_by_caller(error):
                raise
            raise BackendContractError(
                f"{_registered(backend, resolved)} declares options of the type {backend.options.__name__}, "
                f"which cannot be made from {shown(table, 200)}: {said(error)}"
            ) from error
    return RunOptions(
        threads=resolved.threads,
        workspace_limit=resolved.workspace_limit,
        accuracy=resolved.settings.accuracy,
        allow_tf32=resolved.settings.allow_tf32,
        backend=own,
    )


def unknown(name: str, source: str, registry: Registry) -> str:
    """Return the message for a name that no backend has, with the reason if its plugin failed."""
    return str(unknown_backend(name, source, registry))


def unknown_backend(name: str, source: str, registry: Registry) -> UnknownBackendError:
    """Return the error for a name that no backend has: a `PluginError` if its plugin failed."""
    for failure in registry.failures:
        if failure.name == name or failure.origin.plugin == name:
            return PluginError(
                f"backend {shown(name)} (from {source}): {failure.origin} could not be loaded: "
                f"{failure.reason}"
            )
    return UnknownBackendError(
        f"backend is {shown(name)} (from {source}); registered are {', '.join(registry.backends) or 'none'}."
        + did_you_mean(name[:60], registry.backends)
    )
