"""Implements ``convhub config``, which prints the value and the source of each setting."""

from __future__ import annotations

from typing import Any

from rich.padding import Padding
from rich.text import Text

from ...config import KEYS, VARIABLES, Config, current
from ..json_output import STDOUT, JsonOption, write_json
from ..output import show
from ..setting_values import as_toml

__all__ = ["config"]

_IN_ENVIRONMENT = {key: name for name, key in VARIABLES.items()}


def config(json_file: JsonOption = None) -> None:
    """Print each setting, its source and its allowed values.

    Settings come, in order of precedence, from the environment; from convhub.toml, or [tool.convhub] in
    pyproject.toml, in this folder or the nearest above it; from the user's convhub.toml; from the defaults.
    In the environment a setting is CONVHUB_ and its name in capitals, as in CONVHUB_BACKEND=numpy.
    """
    config = current()
    if json_file is not None:
        rows = {key: _row(key, config) for key in KEYS}
        write_json({"settings": rows, "notes": list(config.notes)}, json_file)
    if json_file == STDOUT:
        return
    for key, (meaning, right) in KEYS.items():
        value, source = getattr(config.settings, key), config.sources[key]
        found = f", here {config.threads}" if (key, value) == ("threads", "auto") else ""
        style = "" if source == "default" else "bold green"
        show(
            Text.assemble((f"{key} = {as_toml(value)}", "bold"), "   ", (f"{source}{found}", style)),
            Padding(Text(meaning), (0, 0, 0, 4)),
            Padding(Text(f"may be {right}"), (0, 0, 0, 4)),
        )
    for note in config.notes:
        show(Text(f"Note: {note}"))


def _row(key: str, config: Config) -> dict[str, Any]:
    value = getattr(config.settings, key)
    return {
        "value": value,
        # The value in use: "auto" as a number of threads, "64 MiB" in bytes.
        "effective": {"threads": config.threads, "workspace_limit": config.workspace_limit}.get(key, value),
        "source": config.sources[key],
        "variable": _IN_ENVIRONMENT.get(key),
        "meaning": KEYS[key].description,
        "right": KEYS[key].allowed,
    }
