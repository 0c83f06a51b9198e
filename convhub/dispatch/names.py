"""Checks the names in the settings against those that exist: backends, plugins, tables of options.

A call checks only what concerns it. The commands check everything (`wrong_settings`).
"""

from __future__ import annotations

from collections.abc import Iterator

from ..config import Config
from ..errors import (
    BackendError,
    ConfigurationError,
    PluginError,
    UnknownBackendError,
    did_you_mean,
    short_repr,
)
from ..plugins import BY_HAND, LeftOut, Registry, normalized
from .dispatcher import Dispatcher
from .options import wrong_options

__all__ = [
    "check_disabled",
    "check_name",
    "check_options",
    "check_priority",
    "unknown_backend",
    "wrong_settings",
]


def wrong_settings(dispatcher: Dispatcher) -> list[ConfigurationError | BackendError]:
    """Return an error for each thing that is wrong with the settings, in the order of the settings."""
    registry, config = dispatcher.registry, dispatcher.config
    backend = config.settings.backend
    named = (
        {(): backend} if isinstance(backend, str) else {(device,): name for device, name in backend.items()}
    )
    errors: list[ConfigurationError | BackendError] = [
        unknown_backend(name, config.place_of("backend", *path), dispatcher)
        for path, name in named.items()
        if name != "auto" and name not in registry.backends
    ]
    # A list that is not given by device has the same errors on both; the keys remove the duplicates.
    errors += {str(e): e for device in ("cpu", "cuda") for e in _wrong_order(device, dispatcher)}.values()
    errors += [_no_plugin(name, dispatcher) for name in registry.unknown]
    errors += _no_backends(dispatcher)
    for name, registered in registry.backends.items():
        if config.settings.options.get(name):  # making the defaults may import a library
            errors += wrong_options(registered, config)
    return errors


# --- names of backends --------------------------------------------------------------------------------------


def check_priority(device: str, dispatcher: Dispatcher) -> None:
    """Refuse a configured order with a name that no backend has.

    Raises
    ------
    UnknownBackendError
        With the nearest right name. A call that names a backend does not need the order, and goes on.
    """
    for error in _wrong_order(device, dispatcher):
        raise error


def _wrong_order(device: str, dispatcher: Dispatcher) -> Iterator[UnknownBackendError]:
    config = dispatcher.config
    within = () if isinstance(config.settings.priority, list) else (device,)
    for index, name in enumerate(config.priority_for(device)):
        if name not in dispatcher.registry.backends:
            yield unknown_backend(name, config.place_of("priority", *within, index), dispatcher)


def unknown_backend(name: str, source: str, dispatcher: Dispatcher) -> UnknownBackendError:
    """Return the error for a name that no backend has: a `PluginError` if its plugin failed.

    If another setting leaves out the plugin of that name, the error names this setting too.
    """
    registry, config = dispatcher.registry, dispatcher.config
    for failure in registry.failures:
        if failure.name == name or failure.origin.plugin == name:
            return PluginError(
                f"backend {short_repr(name)} (from {source}): {failure.origin} could not be loaded: "
                f"{failure.reason}"
            )
    for out in registry.left_out:
        if normalized(out.origin.plugin) == normalized(name):
            return UnknownBackendError(
                f"backend {short_repr(name)} (from {source}) is {_left_out_by(out, config)}"
            )
    others = [out for out in registry.left_out if not out.is_own]
    left = f" Not loaded: {others[0].origin}, {_left_out_by(others[0], config)}." if others else ""
    return UnknownBackendError(
        f"backend is {short_repr(name)} (from {source}); registered backends: "
        f"{', '.join(registry.backends) or 'none'}."
        f"{did_you_mean(name[:60], registry.backends)}{left}"
    )


def check_name(name: str, source: str, dispatcher: Dispatcher) -> None:
    """Raise `UnknownBackendError` unless a backend of that name is registered."""
    if name not in dispatcher.registry.backends and name != "auto":
        raise unknown_backend(name, source, dispatcher)


def _left_out_by(out: LeftOut, config: Config) -> str:
    if out.by is None:
        return f"left out by plugins = false in {config.place_of('plugins')}"
    place = config.place_of("disable_plugins", config.settings.disable_plugins.index(out.by))
    import json  # needed only for this message

    written = "" if out.by == out.origin.plugin else f" = [{json.dumps(out.by)}]"
    return f"disabled by disable_plugins{written} in {place}"


# --- names of plugins ---------------------------------------------------------------------------------------


def check_disabled(dispatcher: Dispatcher) -> None:
    """Refuse a name in ``disable_plugins`` that looks misspelled, which would leave its plugin enabled.

    A name unlike any other may be of a plugin on another machine that shares the file: `convhub config`
    refuses it, but a call does not.

    Raises
    ------
    ConfigurationError
        With the nearest right name.
    """
    for name in dispatcher.registry.unknown:
        if did_you_mean(name, _plugin_names(dispatcher.registry)):
            raise _no_plugin(name, dispatcher)


def _no_plugin(name: str, dispatcher: Dispatcher) -> ConfigurationError:
    config = dispatcher.config
    place = config.place_of("disable_plugins", config.settings.disable_plugins.index(name))
    known = _plugin_names(dispatcher.registry)
    return ConfigurationError(
        f"{place}: disable_plugins has {short_repr(name)}, and there is neither a plugin nor a "
        f"distribution of that name; there are {', '.join(known)}.{did_you_mean(name, known)}"
    )


def _plugin_names(registry: Registry) -> list[str]:
    failed = (failure.origin for failure in registry.failures)
    origins = [*registry.loaded, *failed, *(out.origin for out in registry.left_out)]
    return sorted({name for origin in origins for name in (origin.plugin, origin.distribution)} - {BY_HAND})


# --- tables of options --------------------------------------------------------------------------------------


def check_options(dispatcher: Dispatcher) -> None:
    """Refuse a table of options for a backend that does not exist.

    Raises
    ------
    ConfigurationError
        If ``[options.NAME]`` has a name that no plugin has.
    """
    for error in _no_backends(dispatcher):
        raise error


def _no_backends(dispatcher: Dispatcher) -> Iterator[ConfigurationError]:
    """Yield an error for each table of options that belongs to no backend."""
    registry, config = dispatcher.registry, dispatcher.config
    if not config.settings.options or not config.settings.plugins:
        return  # The backends of plugins that are not loaded are unknown.
    known = {*registry.backends, *(failure.name for failure in registry.failures)}
    known |= {out.origin.plugin for out in registry.left_out}
    if not all(out.is_own for out in registry.left_out):
        return  # As above: a backend need not have its plugin's name, but convhub's own do.
    for name in sorted(config.settings.options.keys() - known):
        place = config.place_of("options", name)
        yield ConfigurationError(
            f"{place}: [options.{name}] names no backend; registered backends: "
            f"{', '.join(registry.backends) or 'none'}.{did_you_mean(name, known)}"
        )
