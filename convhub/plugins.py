"""Finding, loading, naming and distrusting plugins.

A plugin is an entry point of the group ``convhub``, of any distribution; the built-in ones are no
different. Each is loaded in a `try` of its own, so that one that breaks takes nothing else down; what
broke, and why, is kept for ``convhub backends`` and ``convhub doctor``.
"""

from __future__ import annotations

import functools
import importlib.metadata
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pluggy

from . import hookspecs
from .backend import Backend, Capabilities
from .config import reload
from .errors import did_you_mean

__all__ = ["Failure", "Origin", "Registered", "Registry", "register", "registry", "unregister"]

GROUP = "convhub"
OWN_DISTRIBUTION = "convhub"


class Origin(NamedTuple):
    """Where a plugin comes from."""

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"plugin {self.plugin!r} of {self.distribution} {self.version}".rstrip()


class Registered(NamedTuple):
    """A backend, and who brought it."""

    backend: Backend
    origin: Origin


class Failure(NamedTuple):
    """A plugin, or one backend of it, that cannot be used, and why."""

    name: str
    origin: Origin
    reason: str


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything that the plugins brought; `loaded` are those that were imported and have right hooks."""

    loaded: tuple[Origin, ...]
    backends: dict[str, Registered]
    failures: tuple[Failure, ...]
    choosers: tuple[Callable[..., Any], ...]
    observers: tuple[Callable[..., Any], ...]


class _Source(NamedTuple):
    """A plugin that has not been loaded yet."""

    origin: Origin
    load: Callable[[], Any]


_lock = threading.RLock()  # a plugin may call convhub while it is imported
_registries: dict[tuple[bool, frozenset[str]], Registry] = {}
_added: dict[str, Any] = {}


def registry(plugins: bool = True, disabled: Iterable[str] = ()) -> Registry:
    """Return what the plugins brought, loading them when first asked.

    Parameters
    ----------
    plugins : bool
        False: only the distribution convhub's own, and those that were registered by hand.
    disabled : iterable of str
        Names of plugins or distributions to leave out; these are not even imported.
    """
    key = (plugins, frozenset(disabled))
    found = _registries.get(key)
    if found is None:
        with _lock:
            found = _registries[key] = _build(*key)
    return found


def register(plugin: Any, name: str) -> None:
    """Add a plugin that no installed distribution announces: one defined in a notebook or a test.

    Parameters
    ----------
    plugin : module or object
        With functions marked by ``convhub.backend.hookimpl``.
    name : str
        By which it can be disabled and unregistered.

    Raises
    ------
    ValueError
        If that name is already registered.
    """
    if name in _added:
        raise ValueError(f"name is {name!r}; a plugin of that name is already registered")
    _added[name] = plugin
    _forget()


def unregister(name: str) -> None:
    """Take away a plugin that `register` added.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name not in _added:
        raise ValueError(f"name is {name!r}; registered by hand are {sorted(_added)}")
    del _added[name]
    _forget()


def _forget() -> None:
    _registries.clear()
    reload()


def _sources(plugins: bool, disabled: frozenset[str]) -> list[_Source]:
    sources = []
    for entry in importlib.metadata.entry_points(group=GROUP):
        distribution = entry.dist.name if entry.dist else "an unknown distribution"
        version = entry.dist.version if entry.dist else ""
        if not plugins and distribution != OWN_DISTRIBUTION:
            continue
        sources.append(_Source(Origin(entry.name, distribution, version), entry.load))
    for name, plugin in _added.items():
        sources.append(_Source(Origin(name, "this process", ""), functools.partial(_same, plugin)))
    return [s for s in sources if s.origin.plugin not in disabled and s.origin.distribution not in disabled]


def _same(plugin: Any) -> Any:
    return plugin


def _build(plugins: bool, disabled: frozenset[str]) -> Registry:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    failures: list[Failure] = []
    origins: dict[str, Origin] = {}
    for source in _sources(plugins, disabled):
        unique = f"{source.origin.distribution}:{source.origin.plugin}"
        reason = _load(manager, source, unique)
        if reason is None:
            origins[unique] = source.origin
        else:
            failures.append(Failure(source.origin.plugin, source.origin, reason))

    claims: dict[str, list[Registered]] = {}
    for implementation in manager.hook.convhub_backends.get_hookimpls()[::-1]:
        origin = origins[implementation.plugin_name]
        backends, reason = _ask_backends(implementation.function)
        if reason is not None:
            failures.append(Failure(origin.plugin, origin, reason))
        for backend in backends:
            claims.setdefault(backend.name, []).append(Registered(backend, origin))

    accepted: dict[str, Registered] = {}
    for name, claimants in sorted(claims.items()):
        if len(claimants) == 1:
            accepted[name] = claimants[0]
            continue
        owners = " and ".join(str(claim.origin) for claim in claimants)
        reason = (
            f"the name {name!r} is claimed by {owners}; uninstall one, or name one of those plugins or "
            "distributions in CONVHUB_DISABLE_PLUGINS"
        )
        failures.extend(Failure(name, claim.origin, reason) for claim in claimants)
    return Registry(
        tuple(origins.values()),
        accepted,
        tuple(failures),
        tuple(i.function for i in manager.hook.convhub_choose.get_hookimpls()[::-1]),
        tuple(i.function for i in manager.hook.convhub_called.get_hookimpls()[::-1]),
    )


def _load(manager: pluggy.PluginManager, source: _Source, unique: str) -> str | None:
    """Import and register one plugin; return why it failed, or None."""
    try:
        plugin = source.load()
        manager.register(plugin, name=unique)
    # Whatever a stranger's module raises when imported, SystemExit included, must stop there.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        return f"{type(error).__name__} when it was loaded: {error}"
    known = {name for name in vars(hookspecs) if name.startswith("convhub_")}
    callers = manager.get_hookcallers(plugin) or []
    if not callers:
        manager.unregister(name=unique)
        return "it implements no hook; mark its convhub_backends with @convhub.backend.hookimpl"
    for caller in callers:
        if caller.name not in known:
            manager.unregister(name=unique)
            near = did_you_mean(caller.name, known)
            return f"it implements the hook {caller.name!r}, which does not exist.{near}"
    return None


def _ask_backends(function: Callable[[], Any]) -> tuple[list[Backend], str | None]:
    """Call a plugin's `convhub_backends`; return its backends, or why it failed."""
    try:
        answer = list(function())
    except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
        return [], f"{type(error).__name__} from its convhub_backends(): {error}"
    good: list[Backend] = []
    for backend in answer:
        if not isinstance(backend, Backend) or not isinstance(backend.capabilities, Capabilities):
            return good, f"its convhub_backends() gave {backend!r}, which is no convhub.backend.Backend"
        if not isinstance(backend.name, str) or not re.fullmatch(r"[a-z][a-z0-9_-]*", backend.name):
            return good, (
                f"a backend of it is named {backend.name!r}; a name has small letters, digits, - and _ only, "
                "and begins with a letter"
            )
        if backend.name == "auto":
            return good, "a backend of it is named 'auto', which means automatic choice"
        good.append(backend)
    return good, None
