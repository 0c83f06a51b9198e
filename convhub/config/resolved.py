"""Resolves the settings in force, which every call looks up."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigurationError
from ..system.cores import available_cores
from .overrides import CONTEXT, Overrides, overrides_here, united
from .schema import KEYS, VARIABLES, Layer, Settings, parse_bytes

__all__ = ["Resolved", "current", "reload", "reload_settings"]

#: So many different sets of values of blocks are kept.
MOST_BLOCKS = 32

#: The setting, and the keys and indices that lead to a part of its value.
Place = tuple[str | int, ...]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """The settings in force, where each came from, and what was decided under them.

    A changed setting makes a new one of these. What was decided under the old one goes with it: `choices` by
    problem, at most `room` of them, which may be cleared at any time, and `memory`, which keeps what is asked
    or said only once.
    `notes` say what could not be looked for, and `places` where each part of a value stands; `within` has the
    settings inside of blocks of `convhub.settings`, by the text of what these set.
    """

    settings: Settings
    sources: Mapping[str, str]
    threads: int
    workspace_limit: int
    environment: tuple[object, ...]
    places: Mapping[Place, str]
    notes: tuple[str, ...]
    room: int
    choices: dict[Any, Any] = dataclasses.field(default_factory=dict)
    memory: dict[Any, Any] = dataclasses.field(default_factory=dict)
    within: dict[str, Resolved] = dataclasses.field(default_factory=dict)

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


def current(overrides: Overrides | None = None) -> Resolved:
    """Return the settings in force now.

    Parameters
    ----------
    overrides : Overrides, optional
        What blocks set that were around the code in question; by default those around this call.

    Raises
    ------
    ConfigurationError
        If a key or a value is wrong; the message names the file and line, or the variable, and the
        nearest right word.
    """
    resolved = _resolved
    if resolved is None:
        resolved = _load()
    else:
        environment = _environment()
        if resolved.environment is not environment and resolved.environment != environment:
            resolved = _load()
    if overrides is None:
        overrides = overrides_here()
        if overrides is None:
            return resolved
    return resolved.within.get(overrides.text) or _within(resolved, overrides)


def reload_settings() -> None:
    """Forget the settings that were read, and what was decided under them.

    Files are read once in a process, when settings are first needed. After this they are read again at the
    next call; so is the folder looked up in which they are searched, after `os.chdir` for instance. Variables
    of the environment need nothing: they are looked at in every call.

    Examples
    --------
    >>> import convhub
    >>> convhub.reload_settings()
    """
    global _resolved
    _resolved = None


#: The same, as other modules of convhub call it.
reload = reload_settings


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
    from .sources import environment_layer, file_layers  # which `import convhub` need not wait for

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
        _resolved = _resolve(values, places, environment, tuple(notes), {}, 4096)
        return _resolved


def _overlay(values: dict[str, Any], places: dict[Place, str], layer: Layer) -> None:
    """Put the values of a stronger source over others; tables of options are united."""
    for key, value in layer.values.items():
        if key == "options":
            values[key] = united(values.get(key, {}), value)
            continue
        values[key] = value
        for path in [path for path in places if path[0] == key]:
            del places[path]
    places.update({path: place for path, place in layer.places.items() if path and path[0] in layer.values})


def _resolve(
    values: dict[str, Any],
    places: dict[Place, str],
    environment: tuple[object, ...],
    notes: tuple[str, ...],
    memory: dict[Any, Any],
    room: int,
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
        room,
        memory=memory,
    )


def _within(base: Resolved, overrides: Overrides) -> Resolved:
    """Return the settings inside of blocks that set some; kept, so that entering one again costs nothing."""
    values = {key: getattr(base.settings, key) for key in KEYS}
    places = dict(base.places)
    paths: dict[Place, str] = {(key,): CONTEXT for key in overrides.values}
    for name, table in overrides.values.get("options", {}).items():
        paths |= {("options", name): CONTEXT} | {("options", name, word): CONTEXT for word in table}
    _overlay(values, places, Layer(dict(overrides.values), paths))
    # What is asked or said once is so for all blocks; what is chosen depends on the settings.
    resolved = _resolve(values, places, base.environment, base.notes, base.memory, 512)
    if len(base.within) >= MOST_BLOCKS:  # values may vary without end
        base.within.clear()
    base.within[overrides.text] = resolved
    return resolved
