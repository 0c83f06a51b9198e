"""Resolves the settings in force, which every call looks up."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigurationError
from ..system.apart import apart
from ..system.cores import available_cores
from .overrides import CONTEXT, Overrides, overrides_here, united
from .schema import KEYS, VARIABLES, Layer, Settings, parse_bytes

__all__ = ["MOST_BLOCKS", "Config", "current", "outside_blocks", "reload", "reload_settings"]

#: The most sets of values of blocks that are kept.
MOST_BLOCKS = 32

#: The setting, and the keys and indices that lead to a part of its value.
Place = tuple[str | int, ...]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Config:
    """The settings in force, and where each came from.

    A changed setting makes a new `Config`, and with it a new `convhub.dispatch.dispatcher.Dispatcher`, which
    remembers the decisions made under it. `environment` has the variables that were read, `places` says where
    each part of a value was set, and `notes` which files could not be looked for.
    """

    settings: Settings
    sources: Mapping[str, str]
    threads: int
    workspace_limit: int
    environment: tuple[object, ...]
    places: Mapping[Place, str]
    notes: tuple[str, ...]

    def backend_for(self, device: str) -> str | None:
        """Return the backend configured for a device type, or None for automatic choice."""
        configured = self.settings.backend
        name = configured if isinstance(configured, str) else configured.get(device, "auto")
        return None if name == "auto" else name

    def place_of(self, *path: str | int) -> str:
        """Return where a part of a setting was set: the file and line, the variable, or "default".

        Parameters
        ----------
        *path : str or int
            The setting, and the keys and indices that lead to the part.
        """
        while len(path) > 1 and path not in self.places:
            path = path[:-1]
        return self.places.get(path, "default")

    def priority_for(self, device: str) -> list[str]:
        """Return the configured order for a device type; empty if there is none."""
        configured = self.settings.priority
        return configured if isinstance(configured, list) else configured.get(device, [])


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _InForce:
    """The settings outside of all blocks, and those inside of blocks, by the text of their overrides."""

    base: Config
    inside: dict[str, Config]


_lock = threading.Lock()
_in_force: _InForce | None = None
_has_read = False  # whether all imports that reading needs are over


def current(overrides: Overrides | None = None) -> Config:
    """Return the settings in force now.

    Parameters
    ----------
    overrides : Overrides, optional
        The settings of the blocks around the code in question; by default those around this call.

    Raises
    ------
    ConfigurationError
        If a key or a value is wrong; the message names the file and line, or the variable, and the
        nearest right word.
    """
    in_force = _in_force
    if in_force is None:
        in_force = _load()
    else:
        environment = _environment()
        known = in_force.base.environment
        if known is not environment and known != environment:
            in_force = _load()
    if overrides is None:
        overrides = overrides_here()
        if overrides is None:
            return in_force.base
    return in_force.inside.get(overrides.text) or _inside(in_force, overrides)


def outside_blocks() -> Config:
    """Return the settings outside of all blocks, as `current` last found them."""
    return (_in_force or _load()).base


def reload_settings() -> None:
    """Forget the settings that were read, and the decisions made under them.

    Files are read once in a process, when settings are first needed. After this the next call reads them
    again, and looks up again where to search for them, for instance after `os.chdir`. Environment variables
    need no reload: every call reads them.

    Examples
    --------
    >>> import convhub
    >>> convhub.reload_settings()
    """
    global _in_force
    _in_force = None


#: The name by which other modules of convhub call it.
reload = reload_settings


def _fresh_lock() -> None:
    global _lock
    _lock = threading.Lock()  # its holder may be a thread that does not exist in the child


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fresh_lock)


def _environment() -> tuple[object, ...]:
    # `os.environ.get` costs a microsecond for each missing name, and this runs at every call; its underlying
    # dictionary (in CPython; elsewhere the mapping itself serves) costs a twentieth of that.
    environ = os.environ
    data = getattr(environ, "_data", None)
    if data is None:
        return tuple(environ.get(name) for name in VARIABLES)
    if data.keys().isdisjoint(_ENCODED):
        return _NOTHING_SET
    return tuple(map(data.get, _ENCODED))


_ENCODED = tuple(getattr(os.environ, "encodekey", str)(name) for name in VARIABLES)
_NOTHING_SET = (None,) * len(VARIABLES)


def _load() -> _InForce:
    """Read the settings; the first time, where no signal's handler runs amid the imports.

    Python's import system takes any `OSError` for the answer that a file is missing, and swallows it; a
    handler's `TimeoutError` is one.
    """
    return _read() if _has_read else apart(_read)


def _read() -> _InForce:
    global _in_force, _has_read
    from .sources import environment_layer, file_layers  # `import convhub` need not wait for it

    with _lock:
        environment = _environment()
        errors: list[str] = []
        notes: list[str] = []
        values: dict[str, Any] = {}
        places: dict[Place, str] = {}
        for layer in (*file_layers(errors, notes), environment_layer(errors)):
            _overlay(values, places, layer)
        if errors:
            raise ConfigurationError("\n".join(errors))
        _in_force = _InForce(_make_config(values, places, environment, tuple(notes)), {})
        _has_read = True
        return _in_force


def _overlay(values: dict[str, Any], places: dict[Place, str], layer: Layer) -> None:
    """Replace values by those of a stronger source; tables of options are merged."""
    for key, value in layer.values.items():
        if key == "options":
            values[key] = united(values.get(key, {}), value)
            continue
        values[key] = value
        for path in [path for path in places if path[0] == key]:
            del places[path]
    places.update({path: place for path, place in layer.places.items() if path and path[0] in layer.values})


def _make_config(
    values: dict[str, Any],
    places: dict[Place, str],
    environment: tuple[object, ...],
    notes: tuple[str, ...],
) -> Config:
    settings = Settings(**values)
    return Config(
        settings,
        {key: places.get((key,), "default") for key in KEYS},
        available_cores() if settings.threads == "auto" else settings.threads,
        parse_bytes(settings.workspace_limit),
        environment,
        places,
        notes,
    )


def _inside(in_force: _InForce, overrides: Overrides) -> Config:
    """Return the settings inside of blocks, cached so that entering one again costs nothing."""
    base = in_force.base
    values = {key: getattr(base.settings, key) for key in KEYS}
    places = dict(base.places)
    paths: dict[Place, str] = {(key,): CONTEXT for key in overrides.values}
    for name, table in overrides.values.get("options", {}).items():
        paths |= {("options", name): CONTEXT} | {("options", name, word): CONTEXT for word in table}
    _overlay(values, places, Layer(dict(overrides.values), paths))
    config = _make_config(values, places, base.environment, base.notes)
    if len(in_force.inside) >= MOST_BLOCKS:  # Values may vary without end.
        in_force.inside.clear()
    in_force.inside[overrides.text] = config
    return config
