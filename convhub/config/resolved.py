"""The settings in force, which every call looks up."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigurationError
from .schema import KEYS, VARIABLES, Settings, parse_bytes
from .sources import Layer, environment_layer, file_layers

__all__ = ["Resolved", "available_cores", "current", "reload"]

#: The setting, and the keys and indices that lead to a part of its value.
Place = tuple[str | int, ...]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """The settings in force, where each came from, and what was decided under them.

    A changed setting makes a new one of these. What was decided under the old one goes with it: `choices` by
    problem, which may be cleared at any time, and `memory`, which keeps what is asked or said only once.
    `notes` say what could not be looked for, and `places` where each part of a value stands.
    """

    settings: Settings
    sources: Mapping[str, str]
    threads: int
    workspace_limit: int
    environment: tuple[object, ...]
    places: Mapping[Place, str]
    notes: tuple[str, ...]
    choices: dict[Any, Any] = dataclasses.field(default_factory=dict)
    memory: dict[Any, Any] = dataclasses.field(default_factory=dict)

    def backend_for(self, device: str) -> str | None:
        """Return the backend that is configured for a device type, or None for automatic choice."""
        configured = self.settings.backend
        name = configured if isinstance(configured, str) else configured.get(device, "auto")
        return None if name == "auto" else name

    def place_of(self, *path: str | int) -> str:
        """Return where a part of a setting stands: the file and line, the variable, or "default".

        Parameters
        ----------
        *path : str or int
            The setting, and the keys and indices that lead to the part.
        """
        while len(path) > 1 and path not in self.places:
            path = path[:-1]
        return self.places.get(path, "default")

    def priority_for(self, device: str) -> list[str]:
        """Return the configured order for a device type; empty where there is none."""
        configured = self.settings.priority
        return configured if isinstance(configured, list) else configured.get(device, [])


_lock = threading.Lock()
_resolved: Resolved | None = None


def current() -> Resolved:
    """Return the settings in force now.

    Raises
    ------
    ConfigurationError
        If a key or a value is wrong; the message names the file and line, or the variable, and the
        nearest right word.
    """
    resolved = _resolved
    if resolved is not None:
        environment = _environment()
        if resolved.environment is environment or resolved.environment == environment:
            return resolved
    return _load()


def reload() -> None:
    """Forget what was read and decided; files are read again when settings are next asked for."""
    global _resolved
    _resolved = None


def _fresh_lock() -> None:
    global _lock
    _lock = threading.Lock()  # its holder may be a thread that the child does not have


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fresh_lock)


def _environment() -> tuple[object, ...]:
    # `os.environ.get` costs a microsecond for each missing name, and this runs at every call; the
    # dictionary behind it (in CPython; elsewhere the mapping itself serves) costs a twentieth of that.
    environ = os.environ
    data = getattr(environ, "_data", None)
    if data is None:
        return tuple(environ.get(name) for name in VARIABLES)
    if data.keys().isdisjoint(_ENCODED):
        return _NOTHING_SET
    return tuple(map(data.get, _ENCODED))


_ENCODED = tuple(getattr(os.environ, "encodekey", str)(name) for name in VARIABLES)
_NOTHING_SET = (None,) * len(VARIABLES)


def _load() -> Resolved:
    global _resolved
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
        _resolved = _resolve(values, places, environment, tuple(notes), {})
        return _resolved


def _overlay(values: dict[str, Any], places: dict[Place, str], layer: Layer) -> None:
    """Put the values of a stronger source over others; tables of options are united."""
    for key, value in layer.values.items():
        before = values.get(key, {}) if key == "options" else {}
        values[key] = (
            before | {name: before.get(name, {}) | table for name, table in value.items()}
            if key == "options"
            else value
        )
        if key != "options":
            for path in [path for path in places if path[0] == key]:
                del places[path]
    places.update({path: place for path, place in layer.places.items() if path and path[0] in layer.values})


def _resolve(
    values: dict[str, Any],
    places: dict[Place, str],
    environment: tuple[object, ...],
    notes: tuple[str, ...],
    memory: dict[Any, Any],
) -> Resolved:
    settings = Settings(**values)
    return Resolved(
        settings,
        {key: places.get((key,), "default") for key in KEYS},
        available_cores() if settings.threads == "auto" else settings.threads,
        parse_bytes(settings.workspace_limit),
        environment,
        places,
        notes,
        memory=memory,
    )


def available_cores() -> int:
    """Return on how many cores this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
