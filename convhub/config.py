"""Layered settings: environment, project file, user file, defaults; each value knows where it came from.

Strongest first: the environment (``CONVHUB_`` and the key in capitals); ``convhub.toml``, or
``[tool.convhub]`` in pyproject.toml, in the working directory or the nearest folder above it that has
one; ``convhub.toml`` in the user's configuration folder; the defaults. An argument of a call and
`convhub.use_backend` stand above all of them (`convhub.dispatch`).

The environment is looked at again at every call, so a change counts from the next call on. Files are read
once, and again after `reload`. Configuration holds names and values only: nothing here loads code.
"""

from __future__ import annotations

import dataclasses
import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from .errors import ConfigurationError, did_you_mean

__all__ = ["KEYS", "Key", "Resolved", "Settings", "available_cores", "current", "parse_bytes", "reload"]


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
    """What a setting does, and what may stand there."""

    meaning: str
    right: str


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
        "with strict, only algorithms that keep the bound for each element on its own",
        '"standard" or "strict"',
    ),
    "threads": Key(
        "how many threads a backend may use; auto: as many as the process may run on",
        'from 1 to 1024, or "auto"',
    ),
    "workspace_limit": Key(
        "the most memory a backend may hold beyond its arrays", 'bytes, or a text such as "64 MiB"'
    ),
    "allow_tf32": Key("let GPUs round float32 products to TF32", "true or false"),
    "tune": Key("measure the backends that can run a problem, and keep the fastest", "true or false"),
    "verbose": Key("log one line a call: what ran, where, how long and why", "true or false"),
    "check": Key(
        "compare part of every result with the right one, and call twice: for finding a faulty backend; slow",
        "true or false",
    ),
    "plugins": Key("load the plugins of other distributions", "true or false"),
    "disable_plugins": Key("plugins or distributions that are not loaded", "a list of names"),
    "options": Key(
        "settings of the backends' own, a table for each",
        "tables [options.NAME], one for each backend's name, or a text such as 'NAME.option=value'",
    ),
}

VARIABLES = {f"CONVHUB_{key.upper()}": key for key in KEYS}

_WORDS = {"on": True, "yes": True, "1": True, "off": False, "no": False, "0": False}
_BOOLEANS = {field.name for field in dataclasses.fields(Settings) if field.type == "bool"}
_LISTS = {"priority", "disable_plugins"}
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


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
        for layer in (_user_file(), _project_file(), _environment_layer()):
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


Layer = dict[str, tuple[Any, str]]


def _environment_layer() -> Layer:
    layer: Layer = {}
    for name, text in sorted(os.environ.copy().items()):  # another thread may be changing it
        if not name.startswith("CONVHUB_") or not text:
            continue
        key = VARIABLES.get(name)
        if key is None:
            near = did_you_mean(name.removeprefix("CONVHUB_"), VARIABLES.values())
            raise ConfigurationError(f"the environment has {name}={text!r}, which is no setting.{near}")
        source = f"environment {name}"
        layer[key] = (_checked(key, _from_text(key, text), source), source)
    return layer


def _from_text(key: str, text: str) -> Any:
    if key in _BOOLEANS:
        return _WORDS.get(text.strip().lower(), text.strip().lower())
    if key == "options":
        return _options_from_text(text)
    if key in _LISTS:
        return [item.strip() for item in text.split(",") if item.strip()]
    if key == "backend" and "=" in text:
        pairs = [item.partition("=") for item in text.split(",")]
        return {device.strip(): name.strip() for device, _, name in pairs}
    return text.strip()


def _options_from_text(text: str) -> Any:
    """Return tables from what stands between the braces of a TOML table; what is none stays a text."""
    import tomllib

    try:
        return tomllib.loads(f"options = {{{text}}}")["options"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def _project_file() -> Layer:
    """Read the nearest convhub.toml, or pyproject.toml with [tool.convhub], from here upward."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the working directory has been removed, and its file with it
        return {}
    for folder in (here, *here.parents):
        plain = folder / "convhub.toml"
        if plain.is_file():
            return _file_layer(plain, _read(plain))
        pyproject = folder / "pyproject.toml"
        if pyproject.is_file():
            tools = _read(pyproject).get("tool")
            table = tools.get("convhub") if isinstance(tools, dict) else None
            if table is not None:
                return _file_layer(pyproject, table)
    return {}


def _user_file() -> Layer:
    import platformdirs

    path = platformdirs.user_config_path("convhub", appauthor=False) / "convhub.toml"
    return _file_layer(path, _read(path)) if path.is_file() else {}


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error


def _file_layer(path: Path, table: Any) -> Layer:
    if not isinstance(table, dict):
        raise ConfigurationError(f"{path}: convhub is {table!r}; it must be a table of settings")
    text = path.read_text(encoding="utf-8")
    layer: Layer = {}
    for key, value in table.items():
        source = f"{path}:{_line_of(key, text)}"
        if key == "tool" and path.name == "convhub.toml":
            raise ConfigurationError(
                f"{source}: in convhub.toml the settings stand at the top, without [tool.convhub]"
            )
        if key not in KEYS:
            raise ConfigurationError(
                f"{source}: {key!r} is no setting; they are {', '.join(KEYS)}.{did_you_mean(key, KEYS)}"
            )
        layer[key] = (_checked(key, value, source), source)
    return layer


def _line_of(key: str, text: str) -> int:
    """Return the line on which `key` stands first, as a key or in the name of a table; tomllib tells none."""
    pattern = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*[=.]|\s*\[.*\b{re.escape(key)}\b""")
    lines = text.splitlines()
    # In a pyproject.toml another tool's table may have a key of the same name further up.
    start = next((i for i, line in enumerate(lines) if re.match(r"\s*\[tool\.convhub", line)), 0)
    return next((i + 1 for i in range(start, len(lines)) if pattern.match(lines[i])), start + 1)


def _checked(key: str, value: Any, source: str) -> Any:
    """Return `value` as the type that `Settings` declares for `key`."""
    import msgspec

    wrong = f"{source}: {key} is {value!r}; it must be {KEYS[key].right}."
    try:
        checked = msgspec.convert({key: value}, Settings, strict=not source.startswith("environment"))
    except msgspec.ValidationError as error:
        near = (
            did_you_mean(value, ("standard", "strict", "auto", "true", "false"))
            if isinstance(value, str)
            else ""
        )
        raise ConfigurationError(wrong + near) from error
    converted = getattr(checked, key)
    if key == "threads" and converted != "auto" and not 1 <= converted <= 1024:
        raise ConfigurationError(wrong)
    if key == "workspace_limit":
        try:
            parse_bytes(converted)
        except ConfigurationError as error:
            raise ConfigurationError(f"{wrong} {error}") from error
    if key in ("backend", "priority") and isinstance(converted, dict):
        for device in converted.keys() - {"cpu", "cuda"}:
            raise ConfigurationError(f"{wrong} {device!r} is no device; they are cpu and cuda.")
    return converted


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
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", str(value).strip())
    if match is None or match[2].lower() not in _UNITS:
        raise ConfigurationError(f"{value!r} is no size; write bytes, or a number with KiB, MiB or GiB")
    size = float(match[1]) * _UNITS[match[2].lower()]
    if size > 2**62:
        raise ConfigurationError(f"{str(value)[:60]!r} is no size; it is more than any machine has")
    return int(size)
