"""Finding, loading, naming and distrusting plugins.

A plugin is an entry point of the group ``convhub``, of any distribution; the built-in ones are no
different. Each is loaded in a `try` of its own, so that one that breaks takes nothing else down; what
broke, and why, is kept for ``convhub backends`` and ``convhub doctor``.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

import pluggy

from . import hookspecs
from .backend import Accuracy, ArrayLibrary, Backend, Capabilities
from .config import reload
from .errors import did_you_mean
from .problem import ITEM_BYTES, PRIMITIVES

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
            found = _registries.get(key)
            if found is None:
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
    with _lock:
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
    with _lock:
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
    out = {_normalized(name) for name in disabled}
    return [s for s in sources if out.isdisjoint(map(_normalized, (s.origin.plugin, s.origin.distribution)))]


def _normalized(name: str) -> str:
    """Return a name as PEP 503 compares names: case, and which of - _ . stands there, do not matter."""
    return re.sub(r"[-_.]+", "-", name).lower()


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
        origin = origins.get(implementation.plugin_name)
        if origin is None:  # refused, though older versions of pluggy keep what it registered first
            continue
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
        _implementations(manager.hook.convhub_choose, origins),
        _implementations(manager.hook.convhub_called, origins),
    )


def _implementations(hook: Any, origins: dict[str, Origin]) -> tuple[Callable[..., Any], ...]:
    """Return a hook's implementations, each of which, as pluggy allows, may take only some arguments."""

    def bound(implementation: Any) -> Callable[..., Any]:
        @functools.wraps(implementation.function)
        def call(**arguments: Any) -> Any:
            return implementation.function(*(arguments[name] for name in implementation.argnames))

        return call

    return tuple(bound(i) for i in hook.get_hookimpls()[::-1] if i.plugin_name in origins)


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
        wrong = _wrong_declaration(backend)
        if wrong is not None:
            return good, f"its backend {backend.name!r} declares {wrong}"
        good.append(backend)
    return good, None


def _wrong_declaration(backend: Backend) -> str | None:
    """Return what a backend declares that dispatch and tables could not work with, or None."""
    can = backend.capabilities
    by_primitive = can.dtypes if isinstance(can.dtypes, Mapping) else dict.fromkeys(PRIMITIVES, can.dtypes)
    for primitive, dtypes in by_primitive.items():
        if primitive not in PRIMITIVES:
            return f"dtypes for {primitive!r}, which is none of {', '.join(PRIMITIVES)}"
        if not isinstance(dtypes, tuple) or not all(name in ITEM_BYTES for name in dtypes):
            return f"dtypes {dtypes!r}; they must be a tuple of names such as ('float32', 'float64')"
    if not isinstance(can.devices, tuple) or not set(can.devices) <= {"cpu", "cuda"}:
        return f"devices {can.devices!r}; they must be a tuple of 'cpu' and 'cuda'"
    if can.arrays not in get_args(ArrayLibrary):
        return f"arrays {can.arrays!r}; it must be one of {', '.join(get_args(ArrayLibrary))}"
    if can.accuracy not in get_args(Accuracy):
        return f"accuracy {can.accuracy!r}; it must be one of {', '.join(get_args(Accuracy))}"
    order = backend.preference
    if not isinstance(order, Mapping) or not all(type(rank) is int for rank in order.values()):
        return f"preference {order!r}; it must map device types to integers"
    if backend.options is not None and not dataclasses.is_dataclass(backend.options):
        return f"options {backend.options!r}; it must be a dataclass, or None"
    for field in (*PRIMITIVES, "availability", "supports", "algorithm"):
        value = getattr(backend, field)
        if not callable(value) and (value is not None or field in ("availability", "supports")):
            return f"{field} {value!r}; it must be a function"
    return None


def _fresh_lock() -> None:
    global _lock
    _lock = threading.RLock()  # its holder may be a thread that the child does not have


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fresh_lock)
