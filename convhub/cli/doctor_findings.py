"""Finds everything that is wrong for ``convhub doctor``, each with a remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..dispatch.candidates import availability, judge_availability
from ..dispatch.dispatcher import Dispatcher
from ..dispatch.names import wrong_settings
from ..dispatch.options import run_options
from ..errors import BackendContractError, ConfigurationError
from ..plugins import Origin, RegisteredBackend, Registry
from .setting_values import as_toml
from .small_check import Check

__all__ = [
    "Examined",
    "Finding",
    "answer_findings",
    "computing_findings",
    "plugin_findings",
    "setting_findings",
]


class Examined(NamedTuple):
    """A backend: whether it is available, why nothing was run on it (or None), and its checks."""

    registered: RegisteredBackend
    available: bool
    not_run: str | None
    checks: list[Check]


class Finding(NamedTuple):
    """Something that is wrong, and its remedy."""

    what: str
    remedy: str


def setting_findings(dispatcher: Dispatcher) -> Iterator[Finding]:
    """Find names in settings that do not exist, and settings that leave no backend to run."""
    registry, config = dispatcher.registry, dispatcher.config
    for error in wrong_settings(dispatcher):
        if not isinstance(error, BackendContractError):
            yield Finding(str(error), "fix that setting; `convhub config` shows the source of each")
    for registered in registry.backends.values():
        try:
            run_options(registered, config)
        except BackendContractError as error:  # the declared options cannot be created
            yield Finding(str(error), _remedy(registered.origin, registry))
        except ConfigurationError:  # as above
            pass
    configured = config.settings.backend
    if isinstance(configured, str) and configured in registry.backends:
        yield from _not_available(configured, dispatcher)
    yield from _nothing_left(dispatcher)
    yield from _useless_order(dispatcher)


def _not_available(name: str, dispatcher: Dispatcher) -> Iterator[Finding]:
    # A backend that is named for one device may be in a configuration that machines without it share.
    missing = availability(dispatcher.registry.backends[name], dispatcher)
    if missing is not None and not dispatcher.config.settings.fallback:
        source = dispatcher.config.sources["backend"]
        yield Finding(
            f"backend {name!r} (from {source}) is not available: {missing}",
            f"fix the setting backend, {source}",
        )


def _nothing_left(dispatcher: Dispatcher) -> Iterator[Finding]:
    """Find that no backend is available."""
    registry, config = dispatcher.registry, dispatcher.config
    refusals = [judge_availability(registered, dispatcher) for registered in registry.backends.values()]
    if any(refusal is None or refusal.fault for refusal in refusals):
        return  # faults are reported by `answer_findings`
    left = f" (registered: {', '.join(registry.backends)})" if registry.backends else ""
    causes = []
    for key in ("disable_plugins", "plugins"):
        by_this = [out for out in registry.left_out if (out.by is None) == (key == "plugins")]
        if by_this:
            value = as_toml(getattr(config.settings, key))
            names = ", ".join(out.origin.plugin for out in by_this)
            causes.append(f"{key} = {value} in {config.sources[key]} leaves out {names}")
    yield Finding(
        f"no backend is available here{left}{'; ' * bool(causes)}{'; '.join(causes)}",
        "fix that setting" if causes else "reinstall convhub, which includes backends",
    )


def _useless_order(dispatcher: Dispatcher) -> Iterator[Finding]:
    """Find an order of backends none of which can run on a CPU, which every machine has."""
    backends, config = dispatcher.registry.backends, dispatcher.config
    order = [name for name in config.priority_for("cpu") if name in backends]
    reasons = {name: _not_on_cpu(backends[name], dispatcher) for name in order}
    if order and all(reasons.values()):
        source = config.place_of("priority", "cpu")
        said = "; ".join(f"{name} {reason}" for name, reason in reasons.items())
        yield Finding(
            f"priority (from {source}) names no backend that can run on a CPU here: {said}",
            f"add one to the setting priority, {source}: `convhub backends` shows them",
        )


def _not_on_cpu(registered: RegisteredBackend, dispatcher: Dispatcher) -> str | None:
    devices = registered.backend.capabilities.devices
    if "cpu" not in devices:
        return f"runs on {' and '.join(devices)} only"
    missing = availability(registered, dispatcher)
    return None if missing is None else f"is not available: {missing}"


def plugin_findings(registry: Registry) -> Iterator[Finding]:
    """Find the plugins that failed to load."""
    for _, origin, reason in registry.failures:
        yield Finding(f"{origin}: {reason}", _remedy(origin, registry))


def answer_findings(dispatcher: Dispatcher) -> Iterator[Finding]:
    """Find the backends whose `availability` breaks the contract."""
    registry = dispatcher.registry
    for name, registered in registry.backends.items():
        refusal = judge_availability(registered, dispatcher)
        if refusal is not None and refusal.fault:
            yield Finding(f"backend {name!r}: {refusal.reason}", _remedy(registered.origin, registry))


def _remedy(origin: Origin, registry: Registry) -> str:
    return f"fix or uninstall it, or leave it out: {registry.remedy(origin)}"


def computing_findings(examined: Mapping[str, Examined]) -> Iterator[Finding]:
    """Find the backends that compute wrongly."""
    for name, found in examined.items():
        for problem, outcome, detail in found.checks:
            if outcome == "wrong":
                yield Finding(
                    f"backend {name!r} does not compute {problem} right: {detail}",
                    f'run `convhub verify "{problem}" --backend {name}`, and report it to the authors of '
                    f"{found.registered.origin}",
                )
