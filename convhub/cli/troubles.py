"""What ``convhub doctor`` calls wrong, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..candidates import availability, check_priority, judge_availability, run_options, unknown
from ..config import Resolved
from ..errors import BackendContractError, ConfigurationError, UnknownBackendError
from ..plugins import Origin, Registry

if TYPE_CHECKING:
    from .doctor_report import Examined

__all__ = ["Trouble", "answer_troubles", "computing_troubles", "plugin_troubles", "setting_troubles"]


class Trouble(NamedTuple):
    """Something that is wrong, and what to do about it."""

    what: str
    remedy: str


def setting_troubles(registry: Registry, resolved: Resolved) -> Iterator[Trouble]:
    """Find names in the settings that no backend has, and options that a backend does not know."""
    configured = resolved.settings.backend
    for name in [configured] if isinstance(configured, str) else configured.values():
        if name != "auto":
            yield from _named_backend(name, isinstance(configured, str), registry, resolved)
    for device in ("cpu", "cuda"):
        try:
            check_priority(device, registry, resolved)
        except UnknownBackendError as error:
            yield Trouble(str(error), f"mend the setting priority, {resolved.sources['priority']}")
    for name, (backend, origin) in registry.backends.items():
        try:
            run_options(backend, resolved)
        except ConfigurationError as error:
            yield Trouble(str(error), f"mend the table [options.{name}]")
        except BackendContractError as error:
            yield Trouble(str(error), _mend(origin, registry))
    for name in sorted(resolved.settings.options.keys() - registry.backends.keys()):
        source = resolved.place_of("options", name)
        yield Trouble(
            unknown(name, f"[options.{name}] in {source}", registry), f"mend the table [options.{name}]"
        )


def _named_backend(name: str, for_all: bool, registry: Registry, resolved: Resolved) -> Iterator[Trouble]:
    source = resolved.sources["backend"]
    remedy = f"mend the setting backend, {source}"
    if name not in registry.backends:
        yield Trouble(unknown(name, source, registry), remedy)
        return
    missing = availability(registry.backends[name].backend, resolved)
    # One that is named for a device only may rest in a configuration that machines without it share.
    if missing is not None and for_all and not resolved.settings.fallback:
        yield Trouble(f"backend {name!r} (from {source}) is not available: {missing}", remedy)


def plugin_troubles(registry: Registry) -> Iterator[Trouble]:
    """Find the plugins that failed."""
    for _, origin, reason in registry.failures:
        yield Trouble(f"{origin}: {reason}", _mend(origin, registry))


def answer_troubles(registry: Registry, resolved: Resolved) -> Iterator[Trouble]:
    """Find the backends that do not say as the contract wants whether they are available."""
    for name, (backend, origin) in registry.backends.items():
        answer = judge_availability(backend, resolved)
        if answer.fault:
            yield Trouble(f"backend {name!r}: {answer.reason}", _mend(origin, registry))


def _mend(origin: Origin, registry: Registry) -> str:
    return f"mend or uninstall it, or leave it out: {registry.remedy(origin)}"


def computing_troubles(examined: Mapping[str, Examined]) -> Iterator[Trouble]:
    """Find the backends that compute wrongly."""
    for name, found in examined.items():
        for problem, outcome, detail in found.checks:
            if outcome == "wrong":
                yield Trouble(
                    f"backend {name!r} does not compute {problem} right: {detail}",
                    f'run `convhub verify "{problem}" --backend {name}`, and tell the makers of '
                    f"{found.registered.origin}",
                )
