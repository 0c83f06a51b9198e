"""Reads what each source sets: the environment, the project's file, the user's file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from ..errors import ConfigurationError, did_you_mean, short_repr
from .files import NAME, Found, find_project_file, find_user_file
from .schema import BOOLEANS, KEYS, LISTS, VARIABLES, Layer, checked

__all__ = ["environment_layer", "file_layers", "from_text"]

_WORDS = {"on": True, "yes": True, "1": True, "off": False, "no": False, "0": False}


def environment_layer(errors: list[str]) -> Layer:
    """Return the environment's settings, and add what is wrong with them to `errors`."""
    layer = Layer({}, {})
    for name in sorted(name for name in os.environ if name.startswith("CONVHUB_")):
        text = os.environ.get(name)  # another thread may have removed it meanwhile
        if not text:
            continue
        key = VARIABLES.get(name)
        if key is None:
            near = did_you_mean(name.removeprefix("CONVHUB_"), VARIABLES.values())
            errors.append(f"the environment has {name}={short_repr(text)}, which is not a setting.{near}")
            continue
        source = f"environment {name}"
        try:
            value = checked(key, from_text(key, text), lambda *_, source=source: source, strict=False)
        except ConfigurationError as error:
            errors.append(str(error))
            continue
        layer.values[key] = value
        layer.places.update(dict.fromkeys(_paths((key,), value), source))
    return layer


def _paths(path: tuple[str | int, ...], value: Any) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of a value, and of each part of it that is a value in a table."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths((*path, key), item)


def from_text(key: str, text: str) -> Any:
    """Parse the text of an environment variable; the value may still be wrong for `key`."""
    if key in BOOLEANS:
        return _WORDS.get(text.strip().lower(), text.strip().lower())
    if key == "options":
        from .option_text import options_from_text

        return options_from_text(text)
    if key in LISTS:
        return [item.strip() for item in text.split(",") if item.strip()]
    if key == "backend" and "=" in text:
        pairs = [item.partition("=") for item in text.split(",")]
        return {device.strip(): name.strip() for device, _, name in pairs}
    return text.strip()


def file_layers(errors: list[str], notes: list[str]) -> list[Layer]:
    """Return the settings of the user's file and the project's, in this order.

    Parameters
    ----------
    errors : list of str
        Errors are added here.
    notes : list of str
        Notes on files that could not be looked for, or are passed over, are added here.
    """
    layers = []
    for find in (find_user_file, find_project_file):
        try:
            found = find(notes.append)
        except ConfigurationError as error:
            errors.append(str(error))
            continue
        if found is not None:
            layers.append(_file_layer(found, errors))
    return layers


def _file_layer(found: Found, errors: list[str]) -> Layer:
    from .toml_lines import lines_of  # its patterns are slow to compile, and most processes have no file

    layer = Layer({}, {})
    if not isinstance(found.table, dict):
        errors.append(f"{found.path}: convhub is {short_repr(found.table)}; it must be a table of settings")
        return layer
    layer.places[()] = f"{found.path}:1"
    lines = lines_of(found.text)
    depth = len(found.within)
    for path, line in lines.items():
        if path[:depth] == found.within and len(path) > depth:
            layer.places[path[depth:]] = f"{found.path}:{line}"
    for key, value in found.table.items():
        place = _nearest(layer, (key,))
        if key == "tool" and found.path.name == NAME:
            errors.append(f"{place}: in {NAME} settings belong at the top level, without [tool.convhub]")
        elif key not in KEYS:
            near = did_you_mean(key, KEYS)
            errors.append(
                f"{place}: {short_repr(key)} is not a setting; the settings are {', '.join(KEYS)}.{near}"
            )
        else:
            try:
                layer.values[key] = checked(key, value, lambda *path, key=key: _nearest(layer, (key, *path)))
            except ConfigurationError as error:
                errors.append(str(error))
    return layer


def _nearest(layer: Layer, path: tuple[str | int, ...]) -> str:
    """Return the place of a part, or of the smallest part around it that has one."""
    while path not in layer.places:
        path = path[:-1]
    return layer.places[path]
