"""Declares every setting: its type, default, meaning and allowed values."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from ..errors import ConfigurationError, did_you_mean, short_repr

__all__ = [
    "BOOLEANS",
    "KEYS",
    "LISTS",
    "VARIABLES",
    "Key",
    "Layer",
    "Settings",
    "Where",
    "checked",
    "parse_bytes",
]


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """The value of every setting. Each is described in `KEYS`."""

    backend: str | dict[str, str] = "auto"
    priority: list[str] | dict[str, list[str]] = dataclasses.field(default_factory=list)
    fallback: bool = False
    accuracy: Literal["standard", "strict"] = "standard"
    threads: int | Literal["auto"] = "auto"
    workspace_limit: int | str = "64 MiB"
    allow_tf32: bool = False
    tune: bool = False
    verbose: bool = False
    check: bool = False
    plugins: bool = True
    disable_plugins: list[str] = dataclasses.field(default_factory=list)
    options: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)


class Key(NamedTuple):
    """What a setting does, and its allowed values."""

    description: str
    allowed: str


KEYS: dict[str, Key] = {
    "backend": Key(
        "the backend that runs everything, or one for each device; it is used or refused, never replaced",
        'a name, "auto", or a table such as {cpu = "numba", cuda = "cupy"}',
    ),
    "priority": Key(
        "the only backends to try when none is named, first to last; empty: the backends' own order",
        'a list of names, or a table such as {cpu = ["numba", "numpy"]}',
    ),
    "fallback": Key("let the next backend run what a named one declines, with a warning", "true or false"),
    "accuracy": Key(
        "strict: run only algorithms that keep the error bound of each element",
        '"standard" or "strict"',
    ),
    "threads": Key(
        "how many threads a backend may use; auto: as many as the process may run on",
        'from 1 to 1024, or "auto"',
    ),
    "workspace_limit": Key(
        "the most memory a backend may hold beyond its arrays", 'bytes, or a string such as "64 MiB"'
    ),
    "allow_tf32": Key("let GPUs round float32 products to TF32", "true or false"),
    "tune": Key("measure the backends that can run a problem, and keep the fastest", "true or false"),
    "verbose": Key("log one line per call: what ran, where, how long and why", "true or false"),
    "check": Key(
        "recompute part of every result, and make each call twice: slow, for finding faulty backends",
        "true or false",
    ),
    "plugins": Key("load the plugins of other distributions", "true or false"),
    "disable_plugins": Key("plugins or distributions that are not loaded", "a list of names"),
    "options": Key(
        "the backends' own settings, a table for each",
        "tables [options.NAME], one for each backend's name, or a string such as 'NAME.option=value'",
    ),
}

#: Maps the environment variable of each setting to the setting.
VARIABLES = {f"CONVHUB_{key.upper()}": key for key in KEYS}

BOOLEANS = {field.name for field in dataclasses.fields(Settings) if field.type == "bool"}
LISTS = {"priority", "disable_plugins"}
DEVICES = ("cpu", "cuda")
#: The allowed words of settings whose values are no names.
WORDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(BOOLEANS, ("true", "false")),
    "accuracy": ("standard", "strict"),
    "threads": ("auto",),
}
#: The deepest nesting of tables and lists in one value; deeper ones may be too deep to print.
DEEPEST = 32

#: Returns where a part of a value was set, as a message names it.
Where = Callable[..., str]

#: In bytes.
MOST_MEMORY = 2**62
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


class Layer(NamedTuple):
    """The values that one source gives, and where each value and each of its parts was set.

    A place's key is the path of keys and indices to the part: ``("options", "mine", "tile")``.
    """

    values: dict[str, Any]
    places: dict[tuple[str | int, ...], str]


def checked(key: str, value: Any, where: Where, strict: bool = True) -> Any:
    """Return `value` as the type that `Settings` declares for `key`.

    Parameters
    ----------
    key : str
        One of `KEYS`.
    value : object
        The value as it was written.
    where : callable
        Returns where the part at the given keys and indices was set.
    strict : bool
        Whether to refuse the text ``"2"`` as a number.

    Raises
    ------
    ConfigurationError
        If the value is not allowed; the message names the place, the value and what would be right.
    """
    import msgspec

    wrong = f"{key} is {short_repr(value)}; it must be {KEYS[key].allowed}."
    if _is_deep(value, DEEPEST):
        raise ConfigurationError(f"{where()}: {wrong} No value may be nested more than {DEEPEST} times.")
    try:
        converted = getattr(msgspec.convert({key: value}, Settings, strict=strict), key)
    except msgspec.ValidationError as error:
        place = where(*_first_wrong(key, value))
        raise ConfigurationError(f"{place}: {wrong}{_hint(key, value)}") from error
    if key == "threads" and converted != "auto" and not 1 <= converted <= 1024:
        raise ConfigurationError(f"{where()}: {wrong}")
    if key == "workspace_limit":
        try:
            parse_bytes(converted)
        except ConfigurationError as error:
            raise ConfigurationError(f"{where()}: {wrong} {error}") from error
    if key in ("backend", "priority") and isinstance(converted, dict):
        for device in sorted(converted.keys() - DEVICES):
            near = did_you_mean("cuda" if device.lower() == "gpu" else device, DEVICES)
            raise ConfigurationError(
                f"{where(device)}: {wrong} {short_repr(device)} is not a device; the devices are "
                f"cpu and cuda.{near}"
            )
    return converted


def _is_deep(value: Any, left: int) -> bool:
    """Return whether tables and lists are nested more than `left` times."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else None
    return inner is not None and (left == 0 or any(_is_deep(item, left - 1) for item in inner))


def _first_wrong(key: str, value: Any) -> tuple[str | int, ...]:
    """Return the keys and indices that lead to the first part of a value that is not allowed."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        if key == "priority" and isinstance(value, dict) and isinstance(part, list):
            inner = _first_wrong(key, part)
            if inner:
                return (name, *inner)
        elif not isinstance(part, dict if key == "options" else str):
            return (name,)
    return ()


def _hint(key: str, value: Any) -> str:
    """Return a sentence that suggests what was probably meant, or an empty text."""
    if not isinstance(value, str):
        return ""
    bare = value.strip().lower()
    if (key in BOOLEANS and bare in ("true", "false")) or (key == "threads" and bare.isdigit()):
        return " Write it without quotes."
    return did_you_mean(value, WORDS.get(key, ()))


def parse_bytes(value: int | str) -> int:
    """Return a number of bytes from an int, or from a text such as ``"64 MiB"``.

    Raises
    ------
    ConfigurationError
        If it is neither, or negative.

    Examples
    --------
    >>> parse_bytes("1.5 KiB")
    1536
    """
    too_much = "it is more than any machine has"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        if value > MOST_MEMORY:
            raise ConfigurationError(f"{short_repr(value)} is not a size; {too_much}")
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", str(value).strip())
    if match is None or match[2].lower() not in _UNITS:
        raise ConfigurationError(
            f"{short_repr(value)} is not a size; write bytes, or a number with KiB, MiB or GiB"
        )
    size = float(match[1]) * _UNITS[match[2].lower()]
    if size > MOST_MEMORY:
        raise ConfigurationError(f"{short_repr(value)} is not a size; {too_much}")
    return int(size)
