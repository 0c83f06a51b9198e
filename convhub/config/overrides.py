"""Keeps the settings of `convhub.settings`, which hold for a block of the program in one thread and task."""

from __future__ import annotations

import contextvars
import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from ..errors import ConfigurationError, did_you_mean, short_repr
from .schema import KEYS, checked

__all__ = [
    "CONTEXT",
    "Frame",
    "Overrides",
    "Values",
    "checked_values",
    "enter",
    "in_context",
    "leave",
    "overrides_here",
    "united",
]

#: The source of a setting that such a block sets.
CONTEXT = "settings(...) context"


class Values(TypedDict, total=False):
    """The settings by name, for type checkers; `KEYS` says what each does."""

    backend: str | dict[str, str]
    priority: list[str] | dict[str, list[str]]
    fallback: bool
    accuracy: Literal["standard", "strict"]
    threads: int | Literal["auto"]
    workspace_limit: int | str
    allow_tf32: bool
    tune: bool
    verbose: bool
    check: bool
    plugins: bool
    disable_plugins: list[str]
    options: dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One block's settings; frames are removed by identity, as blocks of generators may end in any order."""

    values: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Overrides:
    """The settings of all blocks around a piece of code, combined.

    `text` is equal for equal values, and serves as their key, since values may be unhashable tables.
    """

    frames: tuple[Frame, ...]
    values: Mapping[str, Any]
    text: str
    backend: str | None


in_context: contextvars.ContextVar[Overrides | None] = contextvars.ContextVar(
    "convhub_settings", default=None
)


#: Returns the settings of the blocks around a piece of code, or None; bound once: every call asks twice.
overrides_here = in_context.get


def enter(frame: Frame) -> None:
    """Put a block's settings in force from here on, above those of the blocks around it."""
    outer = in_context.get()
    in_context.set(_together((frame,) if outer is None else (*outer.frames, frame)))


def leave(frame: Frame) -> None:
    """Undo the innermost `enter` of that frame."""
    inner = in_context.get()
    assert inner is not None
    frames = list(inner.frames)
    del frames[len(frames) - 1 - frames[::-1].index(frame)]
    in_context.set(_together(tuple(frames)) if frames else None)


def _together(frames: tuple[Frame, ...]) -> Overrides:
    values: dict[str, Any] = {}
    for frame in frames:
        for key, value in frame.values.items():
            values[key] = united(values.get(key, {}), value) if key == "options" else value
    backend = values.get("backend")
    text = repr(sorted(values.items()))
    return Overrides(frames, values, text, backend if isinstance(backend, str) else None)


def united(weaker: Mapping[str, Any], stronger: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two sets of tables of options."""
    return dict(weaker) | {name: weaker.get(name, {}) | table for name, table in stronger.items()}


def checked_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return copies of settings that a program gives, each in its declared type.

    Raises
    ------
    ConfigurationError
        If there is no such setting, or it may not have that value.
    """
    found = {}
    for key, value in values.items():
        place = f"settings({key}=...)"
        if key not in KEYS:
            near = did_you_mean(key, KEYS)
            raise ConfigurationError(
                f"{place}: {key!r} is not a setting; the settings are {', '.join(KEYS)}.{near}"
            )
        found[key] = checked(key, value, lambda *_, place=place: place)
        if key == "options":
            found[key] = _plain(found[key], place, key)
    return found


_PLAIN = (str, bool, int, float, datetime.datetime, datetime.date, datetime.time)


def _plain(value: Any, place: str, path: str) -> Any:
    """Return a copy of a value in types that a configuration file could hold too."""
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, place, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, place, path) for item in value]
    if type(value) not in _PLAIN:
        raise ConfigurationError(
            f"{place}: {path} is {short_repr(value)}; it must be what a file of settings can hold: a "
            "string, a number, true or false, a date, a list or a table with strings as keys"
        )
    return value
