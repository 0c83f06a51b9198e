"""Implements ``convhub config``, which prints the value and the source of each setting."""

from __future__ import annotations

from typing import Any

from rich.padding import Padding
from rich.text import Text

from ...config import KEYS, VARIABLES, Resolved, current
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
    resolved = current()
    if json_file is not None:
        rows = {key: _row(key, resolved) for key in KEYS}
        write_json({"settings": rows, "notes": list(resolved.notes)}, json_file)
    if json_file == STDOUT:
        return
    for key, (meaning, right) in KEYS.items():
        value, source = getattr(resolved.settings, key), resolved.sources[key]
        found = f", here {resolved.threads}" if (key, value) == ("threads", "auto") else ""
        style = "" if source == "default" else "bold green"
        show(
            Text.assemble((f"{key} = {as_toml(value)}", "bold"), "   ", (f"{source}{found}", style)),
            Padding(Text(meaning), (0, 0, 0, 4)),
            Padding(Text(f"may be {right}"), (0, 0, 0, 4)),
        )
    for note in resolved.notes:
        show(Text(f"Note: {note}"))


def _row(key: str, resolved: Resolved) -> dict[str, Any]:
    value = getattr(resolved.settings, key)
    return {
        "value": value,
        # The value in use: "auto" as a number of threads, "64 MiB" in bytes.
        "effective": {"threads": resolved.threads, "workspace_limit": resolved.workspace_limit}.get(
            key, value
        ),
        "source": resolved.sources[key],
        "variable": _IN_ENVIRONMENT.get(key),
        "meaning": KEYS[key].description,
        "right": KEYS[key].allowed,
    }
