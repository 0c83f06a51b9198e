"""Collects all plugins into a registry, and validates what they provide.

A plugin is an entry point of the group ``convhub``, of any distribution; the built-in ones are no different.
Each is loaded in its own `try`, so that a broken one takes nothing else down; failures and their reasons are
kept for ``convhub backends`` and ``convhub doctor``.

The only privilege of convhub's own distribution is its names: a third-party backend that claims one of them
is refused, so that installing a package takes nothing away. If two others claim the same name, both are
refused.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import pluggy

from .. import hookspecs
from ..backend import Backend
from ..callers_code import raised_by_caller
from ..config import reload
from ..errors import short_repr
from ..system.apart import apart
from ..system.forks import wait_for_imports
from .loading import BY_HAND, OWN_DISTRIBUTION, Failure, Origin, Source, ask_backends, load

if TYPE_CHECKING:
    import importlib.metadata

__all__ = [
    "Hook",
    "LeftOut",
    "RegisteredBackend",
    "Registry",
    "normalized",
    "register",
    "registry",
    "unregister",
]

GROUP = "convhub"


class RegisteredBackend(NamedTuple):
    """A backend and its origin; its text is how every error names it."""

    backend: Backend
    origin: Origin

    def __str__(self) -> str:
        return f"backend {self.backend.name!r} ({self.origin})"


class LeftOut(NamedTuple):
    """A plugin that a setting leaves out.

    Parameters
    ----------
    origin : Origin
        The plugin's origin.
    by : str or None
        The name in ``disable_plugins``, as written there; None means ``plugins = false``.
    """

    origin: Origin
    by: str | None

    @property
    def is_own(self) -> bool:
        """Whether it is one of convhub's, each of which provides one backend of the same name."""
        return _is_own(self.origin)


class Hook(NamedTuple):
    """A plugin's implementation of a hook; it is passed, by name, the hook's arguments that it takes."""

    call: Callable[..., Any]
    origin: Origin


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything that the plugins provide.

    `loaded` are the plugins that were imported and have valid hooks, `left_out` those that a setting keeps
    from being loaded; `unknown` are names to disable that no plugin has.
    """

    loaded: tuple[Origin, ...]
    backends: dict[str, RegisteredBackend]
    failures: tuple[Failure, ...]
    choosers: tuple[Hook, ...]
    observers: tuple[Hook, ...]
    left_out: tuple[LeftOut, ...] = ()
    unknown: tuple[str, ...] = ()

    def remedy(self, origin: Origin) -> str:
        """Return the setting that leaves out a plugin, but none of the others found."""
        origins = {*self.loaded, *(failure.origin for failure in self.failures)}
        alone = sum(other.plugin == origin.plugin for other in origins) <= 1
        return f"CONVHUB_DISABLE_PLUGINS={origin.plugin if alone else origin.distribution}"


_lock = threading.RLock()  # a plugin may call convhub while it is imported
_registries: dict[tuple[bool, frozenset[str]], Registry] = {}
_added: dict[str, Any] = {}
_brought: dict[Origin, tuple[Any, tuple[list[Backend], list[Failure]]]] = {}


def registry(plugins: bool = True, disabled: Iterable[str] = ()) -> Registry:
    """Return what the plugins provide, loading them when first asked.

    Parameters
    ----------
    plugins : bool
        If False, only those of convhub's own distribution and those registered by hand.
    disabled : iterable of str
        Names of plugins or distributions to leave out; these are not even imported.
    """
    key = (plugins, frozenset(disabled))
    found = _registries.get(key)
    if found is None:
        with _lock:
            found = _registries.get(key)
            if found is None:
                found = _build(*key)
                if key in _registries:  # A plugin called convhub while being imported, and saw fewer.
                    reload()
                _registries[key] = found
    return found


def register(plugin: Any, name: str) -> None:
    """Add a plugin that no installed distribution declares: one defined in a notebook or a test.

    Parameters
    ----------
    plugin : module or object
        With functions marked by ``convhub.backend.hookimpl``.
    name : str
        The name by which it can be disabled and unregistered.

    Raises
    ------
    ValueError
        If that name is already registered.
    """
    with _lock:
        if name in _added:
            raise ValueError(f"name is {short_repr(name)}; a plugin of that name is already registered")
        _added[name] = plugin
        _forget()


def unregister(name: str) -> None:
    """Remove a plugin that `register` added.

    Parameters
    ----------
    name : str
        The name given to `register`.

    Raises
    ------
    ValueError
        If no plugin of that name was registered.
    """
    with _lock:
        if name not in _added:
            raise ValueError(f"name is {short_repr(name)}; plugins registered by hand: {sorted(_added)}")
        del _added[name]
        _forget()


def _forget() -> None:
    _registries.clear()
    reload()


def _sources() -> list[Source]:
    """Return every plugin, without loading any."""
    # Imported here, since it would take a quarter of the time of `import convhub`.
    import importlib.metadata

    sources = []
    for entry in importlib.metadata.entry_points(group=GROUP):
        origin = Origin(entry.name, *_owner(entry))
        sources.append(Source(origin, entry.load, entry.value.partition(":")[0].strip()))
    for name, plugin in _added.items():
        module = plugin.__name__ if isinstance(plugin, ModuleType) else ""
        sources.append(Source(Origin(name, BY_HAND, ""), functools.partial(_same, plugin), module))
    return sources


def _left_out(sources: list[Source], plugins: bool, disabled: frozenset[str]) -> list[LeftOut]:
    by_name = {normalized(name): name for name in sorted(disabled)}
    found = []
    for origin in (source.origin for source in sources):
        names = [by_name.get(normalized(name)) for name in (origin.plugin, origin.distribution)]
        named = next((name for name in names if name is not None), None)
        if named is not None or not (plugins or _is_own(origin) or origin.distribution == BY_HAND):
            found.append(LeftOut(origin, named))
    return found


def _owner(entry: importlib.metadata.EntryPoint) -> tuple[str, str]:
    """Return the distribution that an entry point belongs to, and its version."""
    try:
        name, version = (entry.dist.name, entry.dist.version) if entry.dist else (None, None)
    # Metadata without a name or version gives None, a warning or an error, depending on Python's version.
    except Exception as error:
        if raised_by_caller(error):
            raise
        name = version = None
    return name or "an unknown distribution", version or ""


def _is_own(origin: Origin) -> bool:
    return normalized(origin.distribution) == OWN_DISTRIBUTION


def normalized(name: str) -> str:
    """Normalize a name as PEP 503 does: case, and which of - _ . is used, do not matter.

    Examples
    --------
    >>> normalized("Convhub_FFT")
    'convhub-fft'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.cache
def _import_apart(module: str) -> None:
    """Import a module in another thread."""
    apart(_imported, module)


def _imported(module: str) -> None:
    """Import a module; an error will come again, where it is handled."""
    with contextlib.suppress(Exception):
        importlib.import_module(module)


def _same(plugin: Any) -> Any:
    return plugin


def _build(plugins: bool, disabled: frozenset[str]) -> Registry:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    failures: list[Failure] = []
    origins: dict[str, Origin] = {}
    sources = apart(_sources)
    left_out = _left_out(sources, plugins, disabled)
    for source in sources:
        if any(out.origin == source.origin for out in left_out):
            continue
        if _is_own(source.origin):
            # Here, a handler's `TimeoutError` could be swallowed by Python's import system, to which any
            # `OSError` says that a file is missing. Others may rely on the main thread, and stay in it.
            _import_apart(source.module)
        unique = f"{source.origin.distribution}:{source.origin.plugin}"
        reason = load(manager, source, unique)
        if reason is None:
            origins[unique] = source.origin
        else:
            failures.append(Failure(source.origin.plugin, source.origin, reason))

    claims: dict[str, list[RegisteredBackend]] = {}
    for implementation in manager.hook.convhub_backends.get_hookimpls()[::-1]:
        origin = origins.get(implementation.plugin_name)
        if origin is None:  # refused; older versions of pluggy keep the hooks it registered first
            continue
        backends, failed = _brought_by(implementation, origin)
        failures += failed
        for backend in backends:
            claims.setdefault(backend.name, []).append(RegisteredBackend(backend, origin))
    accepted, refused = _settle(claims)
    return Registry(
        tuple(origins.values()),
        accepted,
        (*failures, *refused),
        _implementations(manager.hook.convhub_choose, origins),
        _implementations(manager.hook.convhub_called, origins),
        tuple(left_out),
        _unknown(sources, disabled),
    )


def _unknown(sources: list[Source], disabled: frozenset[str]) -> tuple[str, ...]:
    """Return the names to disable that no plugin or distribution has."""
    there = {normalized(name) for source in sources for name in source.origin[:2]}
    return tuple(sorted(name for name in disabled if normalized(name) not in there))


def _brought_by(implementation: Any, origin: Origin) -> tuple[list[Backend], list[Failure]]:
    """Return a plugin's backends; for an installed plugin, the same objects under all settings.

    So facts about a backend, such as that it did not answer, outlive a change of settings.
    """
    if origin.distribution == BY_HAND:
        return ask_backends(implementation.function, origin)
    plugin, brought = _brought.get(origin, (None, None))
    if brought is None or plugin is not implementation.plugin:
        brought = ask_backends(implementation.function, origin)
        _brought[origin] = implementation.plugin, brought
    return brought


def _settle(claims: dict[str, list[RegisteredBackend]]) -> tuple[dict[str, RegisteredBackend], list[Failure]]:
    """Return the backend of each name, and those refused since another one claims their name."""
    accepted: dict[str, RegisteredBackend] = {}
    refused: list[Failure] = []
    for name, claimants in sorted(claims.items()):
        owners = " and ".join(dict.fromkeys(str(claim.origin) for claim in claimants))
        own = [claim for claim in claimants if _is_own(claim.origin)]
        losers = claimants
        if len(claimants) == 1 or len(own) == 1:
            (accepted[name],) = own or claimants
            losers = [claim for claim in claimants if claim is not accepted[name]]
            reason = (
                f"the name {name!r} is claimed by {owners}; convhub keeps the names of its own backends, "
                "so the other must take another name"
            )
        elif len({claim.origin for claim in claimants}) == 1:
            reason = f"its convhub_backends() returned {len(claimants)} backends named {name!r}"
        else:
            reason = (
                f"the name {name!r} is claimed by {owners}; uninstall one, or name one of those plugins or "
                "distributions in CONVHUB_DISABLE_PLUGINS"
            )
        refused += [Failure(name, claim.origin, reason) for claim in losers]
    return accepted, refused


def _implementations(hook: Any, origins: dict[str, Origin]) -> tuple[Hook, ...]:
    """Return a hook's implementations; pluggy allows each to take only some of the arguments."""

    def bound(implementation: Any) -> Callable[..., Any]:
        @functools.wraps(implementation.function)
        def call(**arguments: Any) -> Any:
            return implementation.function(*(arguments[name] for name in implementation.argnames))

        return call

    found = [i for i in hook.get_hookimpls()[::-1] if i.plugin_name in origins]
    return tuple(Hook(bound(i), origins[i.plugin_name]) for i in found)


def _fresh_lock() -> None:
    global _lock
    _lock = threading.RLock()  # its holder may be a thread that does not exist in the child


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=wait_for_imports, after_in_child=_fresh_lock)
