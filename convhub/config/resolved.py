"""The settings in force, which every call looks up."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Mapping
from typing import Any

from .schema import KEYS, VARIABLES, Settings, parse_bytes
from .sources import environment_layer, project_file, user_file

__all__ = ["Resolved", "available_cores", "current", "reload"]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """The settings in force, where each came from, and what was decided under them.

    A changed setting makes a new one of these. What was decided under the old one goes with it: `choices` by
    problem, which may be cleared at any time, and `memory`, which keeps what is asked or said only once.
    """

    settings: Settings
    sources: Mapping[str, str]
    threads: int
    workspace_limit: int
    environment: tuple[object, ...]
    choices: dict[Any, Any] = dataclasses.field(default_factory=dict)
    memory: dict[Any, Any] = dataclasses.field(default_factory=dict)

    def backend_for(self, device: str) -> str | None:
        """Return the backend that is configured for a device type, or None for automatic choice."""
        configured = self.settings.backend
        name = configured if isinstance(configured, str) else configured.get(device, "auto")
        return None if name == "auto" else name

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
        values: dict[str, Any] = {}
        sources = dict.fromkeys(KEYS, "default")
        for layer in (user_file(), project_file(), environment_layer()):
            for key, (value, source) in layer.items():
                if key == "options":
                    sources.update({f"options.{name}": source for name in value})
                    before = values.get(key, {})
                    value = before | {name: before.get(name, {}) | table for name, table in value.items()}
                values[key] = value
                sources[key] = source
        settings = Settings(**values)
        resolved = Resolved(
            settings,
            sources,
            available_cores() if settings.threads == "auto" else settings.threads,
            parse_bytes(settings.workspace_limit),
            environment,
        )
        _resolved = resolved
        return resolved


def available_cores() -> int:
    """Return on how many cores this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
