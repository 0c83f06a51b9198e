"""Layers settings from the environment, project file, user file and defaults, and records each one's source.

Strongest first: blocks of `convhub.settings`; the environment (``CONVHUB_`` and the key in capitals);
``convhub.toml``, or ``[tool.convhub]`` in pyproject.toml, in the working directory or the nearest folder
above it that has one; ``convhub.toml`` in the user's configuration folder; the defaults. An argument of a
call overrides all of them (`convhub.dispatch.choose`).

The environment is read again at every call, so a change takes effect at the next call. Files are read
once, and again after `reload_settings`. Configuration holds names and values only: nothing here loads code.
"""

from .resolved import MOST_BLOCKS, Config, current, outside_blocks, reload, reload_settings
from .schema import KEYS, VARIABLES, Key, Settings, parse_bytes

__all__ = [
    "KEYS",
    "MOST_BLOCKS",
    "VARIABLES",
    "Config",
    "Key",
    "Settings",
    "current",
    "outside_blocks",
    "parse_bytes",
    "reload",
    "reload_settings",
]
