"""Where settings stand: the environment, the project's file, the user's file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, did_you_mean
from .schema import BOOLEANS, KEYS, LISTS, VARIABLES, checked

__all__ = ["Layer", "environment_layer", "from_text", "project_file", "user_file"]

_WORDS = {"on": True, "yes": True, "1": True, "off": False, "no": False, "0": False}

#: The values that one source gives, each with that source.
Layer = dict[str, tuple[Any, str]]


def environment_layer() -> Layer:
    """Return what the environment sets."""
    layer: Layer = {}
    for name, text in sorted(os.environ.copy().items()):  # another thread may be changing it
        if not name.startswith("CONVHUB_") or not text:
            continue
        key = VARIABLES.get(name)
        if key is None:
            near = did_you_mean(name.removeprefix("CONVHUB_"), VARIABLES.values())
            raise ConfigurationError(f"the environment has {name}={text!r}, which is no setting.{near}")
        source = f"environment {name}"
        layer[key] = (checked(key, from_text(key, text), source), source)
    return layer


def from_text(key: str, text: str) -> Any:
    """Return the value that a text in the environment stands for; it may still be wrong for `key`."""
    if key in BOOLEANS:
        return _WORDS.get(text.strip().lower(), text.strip().lower())
    if key == "options":
        return _options_from_text(text)
    if key in LISTS:
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


def project_file() -> Layer:
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


def user_file() -> Layer:
    """Read convhub.toml in the user's configuration folder, if there is one."""
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
        layer[key] = (checked(key, value, source), source)
    return layer


def _line_of(key: str, text: str) -> int:
    """Return the line on which `key` stands first, as a key or in the name of a table; tomllib tells none."""
    pattern = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*[=.]|\s*\[.*\b{re.escape(key)}\b""")
    lines = text.splitlines()
    # In a pyproject.toml another tool's table may have a key of the same name further up.
    start = next((i for i, line in enumerate(lines) if re.match(r"\s*\[tool\.convhub", line)), 0)
    return next((i + 1 for i in range(start, len(lines)) if pattern.match(lines[i])), start + 1)
