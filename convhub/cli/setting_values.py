"""Formats values of settings as in a configuration file, and finds those that differ from the defaults."""

from __future__ import annotations

import json
from typing import Any

from ..config import KEYS, Config

__all__ = ["as_toml", "changed_settings"]


def changed_settings(config: Config) -> dict[str, dict[str, Any]]:
    """Return value and source of each setting that does not have its default."""
    return {
        key: {"value": getattr(config.settings, key), "source": config.sources[key]}
        for key in KEYS
        if config.sources[key] != "default"
    }


def as_toml(value: Any) -> str:
    """Return a setting's value as it is written in a configuration file.

    Examples
    --------
    >>> as_toml({"cpu": ["numba", "numpy"]})
    '{cpu = ["numba", "numpy"]}'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {as_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False, default=str)
