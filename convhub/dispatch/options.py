"""Holds what the settings name to what there is: backends, their options, plugins.

A call asks for what concerns it alone. The commands ask for everything (`wrong_settings`).
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .. import config, plugins
from ..backend import Backend, RunOptions
from ..callers_code import raised_by_caller
from ..config import Resolved
from ..errors import (
    BackendContractError,
    BackendError,
    ConfigurationError,
    PluginError,
    UnknownBackendError,
    describe_error,
    did_you_mean,
    short_repr,
)
from ..plugins import LeftOut, Origin, RegisteredBackend, Registry, normalized

__all__ = [
    "check_disabled",
    "check_name",
    "check_options",
    "check_priority",
    "current_registry",
    "registered_as",
    "run_options",
    "unknown_backend",
    "wrong_settings",
]


def current_registry(resolved: Resolved | None = None) -> Registry:
    """Return the plugins' backends under the settings in force."""
    settings = (resolved or config.current()).settings
    return plugins.registry(settings.plugins, settings.disable_plugins)


def registered_as(backend: Backend, resolved: Resolved) -> RegisteredBackend:
    """Return a backend and who brought it."""
    found = current_registry(resolved).backends.get(backend.name)
    if found is not None and found.backend is backend:
        return found
    return RegisteredBackend(backend, Origin("unknown", "no distribution that is registered", ""))


def wrong_settings(registry: Registry, resolved: Resolved) -> list[ConfigurationError | BackendError]:
    """Return an error for each thing that is wrong with the settings, in the order of the settings."""
    backend = resolved.settings.backend
    named = (
        {(): backend} if isinstance(backend, str) else {(device,): name for device, name in backend.items()}
    )
    errors: list[ConfigurationError | BackendError] = [
        unknown_backend(name, resolved.place_of("backend", *path), registry, resolved)
        for path, name in named.items()
        if name != "auto" and name not in registry.backends
    ]
    # Of a list that is not for each device the same is wrong on both.
    errors += {
        str(e): e for device in ("cpu", "cuda") for e in _wrong_order(device, registry, resolved)
    }.values()
    errors += [_no_plugin(name, registry, resolved) for name in registry.unknown]
    errors += _no_backends(registry, resolved)
    for name, registered in registry.backends.items():
        if resolved.settings.options.get(name):  # the defaults may take a library to make
            errors += _wrong_options(registered.backend, resolved)
    return errors


# --- names of backends --------------------------------------------------------------------------------------


def check_priority(device: str, registry: Registry, resolved: Resolved) -> None:
    """Refuse a configured order with a name in it that no backend has.

    Raises
    ------
    UnknownBackendError
        With the nearest right name. What is named by a call does not ask for the order, and goes on.
    """
    for error in _wrong_order(device, registry, resolved):
        raise error


def _wrong_order(device: str, registry: Registry, resolved: Resolved) -> Iterator[UnknownBackendError]:
    within = () if isinstance(resolved.settings.priority, list) else (device,)
    for index, name in enumerate(resolved.priority_for(device)):
        if name not in registry.backends:
            place = resolved.place_of("priority", *within, index)
            yield unknown_backend(name, place, registry, resolved)


def unknown_backend(
    name: str, source: str, registry: Registry, resolved: Resolved | None = None
) -> UnknownBackendError:
    """Return the error for a name that no backend has: a `PluginError` if its plugin failed.

    Where another setting leaves the plugin of that name out, that one is told too.
    """
    for failure in registry.failures:
        if failure.name == name or failure.origin.plugin == name:
            return PluginError(
                f"backend {short_repr(name)} (from {source}): {failure.origin} could not be loaded: "
                f"{failure.reason}"
            )
    resolved = resolved or config.current()
    for out in registry.left_out:
        if normalized(out.origin.plugin) == normalized(name):
            return UnknownBackendError(
                f"backend {short_repr(name)} (from {source}) is {_left_out_by(out, resolved)}"
            )
    others = [out for out in registry.left_out if not out.is_own]
    left = f" Left out is {others[0].origin}, {_left_out_by(others[0], resolved)}." if others else ""
    return UnknownBackendError(
        f"backend is {short_repr(name)} (from {source}); registered are "
        f"{', '.join(registry.backends) or 'none'}."
        f"{did_you_mean(name[:60], registry.backends)}{left}"
    )


def check_name(name: str, source: str) -> None:
    """Raise `UnknownBackendError` unless a backend of that name is registered."""
    registry = current_registry()
    if name not in registry.backends and name != "auto":
        raise unknown_backend(name, source, registry)


def _left_out_by(out: LeftOut, resolved: Resolved) -> str:
    if out.by is None:
        return f"left out by plugins = false in {resolved.place_of('plugins')}"
    place = resolved.place_of("disable_plugins", resolved.settings.disable_plugins.index(out.by))
    import json  # for a message alone

    written = "" if out.by == out.origin.plugin else f" = [{json.dumps(out.by)}]"
    return f"disabled by disable_plugins{written} in {place}"


# --- names of plugins ---------------------------------------------------------------------------------------


def check_disabled(registry: Registry, resolved: Resolved) -> None:
    """Refuse a name in ``disable_plugins`` that looks like a misspelled one, which would leave its plugin in.

    One that is like none may be of a plugin that other machines have which share the file: `convhub config`
    refuses it, a call does not.

    Raises
    ------
    ConfigurationError
        With the nearest right name.
    """
    for name in registry.unknown:
        if did_you_mean(name, _plugin_names(registry)):
            raise _no_plugin(name, registry, resolved)


def _no_plugin(name: str, registry: Registry, resolved: Resolved) -> ConfigurationError:
    place = resolved.place_of("disable_plugins", resolved.settings.disable_plugins.index(name))
    known = _plugin_names(registry)
    return ConfigurationError(
        f"{place}: disable_plugins has {short_repr(name)}, and there is neither a plugin nor a "
        f"distribution of that name; there are {', '.join(known)}.{did_you_mean(name, known)}"
    )


def _plugin_names(registry: Registry) -> list[str]:
    failed = (failure.origin for failure in registry.failures)
    origins = [*registry.loaded, *failed, *(out.origin for out in registry.left_out)]
    return sorted(
        {name for origin in origins for name in (origin.plugin, origin.distribution)} - {plugins.BY_HAND}
    )


# --- options of backends ------------------------------------------------------------------------------------


def check_options(registry: Registry, resolved: Resolved) -> None:
    """Refuse a table of options for a backend that does not exist.

    Raises
    ------
    ConfigurationError
        If ``[options.NAME]`` has a name that no plugin has.
    """
    for error in _no_backends(registry, resolved):
        raise error


def _no_backends(registry: Registry, resolved: Resolved) -> Iterator[ConfigurationError]:
    """Yield an error for each table of options that is for no backend."""
    if not resolved.settings.options or not resolved.settings.plugins:
        return  # of what is not loaded nobody knows the backends
    known = {*registry.backends, *(failure.name for failure in registry.failures)}
    known |= {out.origin.plugin for out in registry.left_out}
    if not all(out.is_own for out in registry.left_out):
        return  # as above; a backend need not have its plugin's name, but convhub's own do
    for name in sorted(resolved.settings.options.keys() - known):
        place = resolved.place_of("options", name)
        yield ConfigurationError(
            f"{place}: [options.{name}] is for no backend; there are "
            f"{', '.join(registry.backends) or 'none'}.{did_you_mean(name, known)}"
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
    table = resolved.settings.options.get(backend.name, {})
    own: Any = None
    if table or backend.options is not None:
        for error in _wrong_options(backend, resolved):
            raise error
        own = _made(backend, table)
    return RunOptions(
        threads=resolved.threads,
        workspace_limit=resolved.workspace_limit,
        accuracy=resolved.settings.accuracy,
        allow_tf32=resolved.settings.allow_tf32,
        backend=own,
    )


def _made(backend: Backend, table: dict[str, Any]) -> Any:
    import msgspec

    return None if backend.options is None else msgspec.convert(table, backend.options)


def _wrong_options(
    backend: Backend, resolved: Resolved
) -> Iterator[ConfigurationError | BackendContractError]:
    """Yield an error for each option that a backend does not have, or that has a wrong value."""
    import msgspec

    table = resolved.settings.options.get(backend.name, {})
    known = [field.name for field in dataclasses.fields(backend.options)] if backend.options else []
    for word in sorted(table.keys() - {*known}):
        place = resolved.place_of("options", backend.name, word)
        yield ConfigurationError(
            f"{place}: [options.{backend.name}] has {short_repr(word)}; that backend has "
            f"{', '.join(sorted(known)) or 'no options'}.{did_you_mean(word, known)}"
        )
    table = {word: value for word, value in table.items() if word in known}
    try:
        _made(backend, table)
    except msgspec.ValidationError as error:
        yield from _wrong_values(backend, table, resolved, error)
    except BaseException as error:
        if raised_by_caller(error):
            raise
        wrong = BackendContractError(
            f"{registered_as(backend, resolved)} declares options of the type {backend.options.__name__}, "  # type: ignore[union-attr]
            f"which cannot be made from {short_repr(table, 200)}: {describe_error(error)}"
        )
        wrong.__cause__ = error
        yield wrong


def _wrong_values(
    backend: Backend, table: dict[str, Any], resolved: Resolved, error: Exception
) -> Iterator[ConfigurationError]:
    """Yield an error for each option whose value has a wrong type; `error` is what the whole table gave."""
    import msgspec

    hints = get_type_hints(backend.options, include_extras=True)
    found = False
    for word, value in table.items():
        try:
            msgspec.convert(value, hints[word])
        except msgspec.ValidationError as reason:
            found = True
            place = resolved.place_of("options", backend.name, word)
            right = written_type(hints[word])
            words = _words(hints[word])
            said_by_type = "" if words else f" ({reason})"
            near = did_you_mean(value, words) if isinstance(value, str) else ""
            wrong = ConfigurationError(
                f"{place}: options.{backend.name}.{word} is {short_repr(value)}; it must be "
                f"{right or 'what that backend declares'}{said_by_type}.{near}"
            )
            wrong.__cause__ = reason
            yield wrong
    if not found:  # it is the values together that are refused
        place = resolved.place_of("options", backend.name)
        yield ConfigurationError(f"{place}: [options.{backend.name}] is {short_repr(table)}: {error}")


def written_type(kind: Any) -> str:
    """Return what an option of a type may be, in words; nothing where only the type itself can tell.

    Examples
    --------
    >>> written_type(Literal["auto", "never"]), written_type(int | None)
    ('"auto" or "never"', 'a whole number')
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        import json

        return _listed(json.dumps(value) for value in arguments)
    if origin in (Union, types.UnionType):
        words = [written_type(part) for part in arguments if part is not type(None)]
        return _listed(words) if all(words) else ""
    plain = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return plain.get(kind, "")


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _words(kind: Any) -> list[str]:
    """Return the texts that an option of a type may be, so far as it names them."""
    if get_origin(kind) is Literal:
        return [value for value in get_args(kind) if isinstance(value, str)]
    return [word for part in get_args(kind) for word in _words(part)]
