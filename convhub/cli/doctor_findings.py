"""Finds everything that is wrong for ``convhub doctor``, each with a remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..backend import Backend
from ..config import Resolved
from ..dispatch.candidates import availability, judge_availability
from ..dispatch.options import run_options, wrong_settings
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


def setting_findings(registry: Registry, resolved: Resolved) -> Iterator[Finding]:
    """Find names in settings that do not exist, and settings that leave no backend to run."""
    for error in wrong_settings(registry, resolved):
        if not isinstance(error, BackendContractError):
            yield Finding(str(error), "fix that setting; `convhub config` shows the source of each")
    for backend, origin in registry.backends.values():
        try:
            run_options(backend, resolved)
        except BackendContractError as error:  # the declared options cannot be created
            yield Finding(str(error), _remedy(origin, registry))
        except ConfigurationError:  # as above
            pass
    configured = resolved.settings.backend
    if isinstance(configured, str) and configured in registry.backends:
        yield from _not_available(configured, registry, resolved)
    yield from _nothing_left(registry, resolved)
    yield from _useless_order(registry, resolved)


def _not_available(name: str, registry: Registry, resolved: Resolved) -> Iterator[Finding]:
    # A backend that is named for one device may be in a configuration that machines without it share.
    missing = availability(registry.backends[name].backend, resolved)
    if missing is not None and not resolved.settings.fallback:
        source = resolved.sources["backend"]
        yield Finding(
            f"backend {name!r} (from {source}) is not available: {missing}",
            f"fix the setting backend, {source}",
        )


def _nothing_left(registry: Registry, resolved: Resolved) -> Iterator[Finding]:
    """Find that no backend is available."""
    answers = [judge_availability(backend, resolved) for backend, _ in registry.backends.values()]
    if any(answer.reason is None or answer.fault for answer in answers):
        return  # faults are reported by `answer_findings`
    left = f" (registered: {', '.join(registry.backends)})" if registry.backends else ""
    causes = []
    for key in ("disable_plugins", "plugins"):
        by_this = [out for out in registry.left_out if (out.by is None) == (key == "plugins")]
        if by_this:
            value = as_toml(getattr(resolved.settings, key))
            names = ", ".join(out.origin.plugin for out in by_this)
            causes.append(f"{key} = {value} in {resolved.sources[key]} leaves out {names}")
    yield Finding(
        f"no backend is available here{left}{'; ' * bool(causes)}{'; '.join(causes)}",
        "fix that setting" if causes else "reinstall convhub, which includes backends",
    )


def _useless_order(registry: Registry, resolved: Resolved) -> Iterator[Finding]:
    """Find an order of backends none of which can run on a CPU, which every machine has."""
    order = [name for name in resolved.priority_for("cpu") if name in registry.backends]
    reasons = {name: _not_on_cpu(registry.backends[name].backend, resolved) for name in order}
    if order and all(reasons.values()):
        source = resolved.place_of("priority", "cpu")
        said = "; ".join(f"{name} {reason}" for name, reason in reasons.items())
        yield Finding(
            f"priority (from {source}) names no backend that can run on a CPU here: {said}",
            f"add one to the setting priority, {source}: `convhub backends` shows them",
        )


def _not_on_cpu(backend: Backend, resolved: Resolved) -> str | None:
    if "cpu" not in backend.capabilities.devices:
        return f"runs on {' and '.join(backend.capabilities.devices)} only"
    missing = availability(backend, resolved)
    return None if missing is None else f"is not available: {missing}"


def plugin_findings(registry: Registry) -> Iterator[Finding]:
    """Find the plugins that failed to load."""
    for _, origin, reason in registry.failures:
        yield Finding(f"{origin}: {reason}", _remedy(origin, registry))


def answer_findings(registry: Registry, resolved: Resolved) -> Iterator[Finding]:
    """Find the backends whose `availability` breaks the contract."""
    for name, (backend, origin) in registry.backends.items():
        answer = judge_availability(backend, resolved)
        if answer.fault:
            yield Finding(f"backend {name!r}: {answer.reason}", _remedy(origin, registry))


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
