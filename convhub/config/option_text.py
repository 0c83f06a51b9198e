"""Reads and writes backends' options in one line of text: ``mine.mode=never, mine.tile=128``."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["options_from_text", "text_of_options"]

_KEY = r"[A-Za-z0-9_-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"' + r"|'[^']*'"
#: One option, and the comma, semicolon or blank after it.
_ITEM = re.compile(
    rf"""
    \s* (?P<keys> {_KEY} (?: \s*\.\s* {_KEY} )+ ) \s*=\s*
    (?P<value> {_QUOTED} | \[ (?: {_QUOTED} | [^\]"'] )* \] | [^\s,;"'\[\]{{}}=]+ )
    \s* (?: [,;\s] | $ )
    """,
    re.VERBOSE,
)


def options_from_text(text: str) -> Any:
    """Return tables of options from a text, or the text itself if it has no options.

    It accepts the content of a TOML inline table, also without quotes and separated by commas, semicolons or
    blanks: a value that is no number, boolean, date or list is a text.

    Parameters
    ----------
    text : str
        From the environment or the command line.

    Examples
    --------
    >>> options_from_text("mine.mode=never; mine.tile=128")
    {'mine': {'mode': 'never', 'tile': 128}}
    >>> options_from_text('mine = {mode = "never"}')
    {'mine': {'mode': 'never'}}
    >>> options_from_text("mode")
    'mode'
    """
    import tomllib

    text = text.strip()
    try:
        return tomllib.loads(f"options = {{{text.rstrip(',;')}}}")["options"]
    except (ValueError, RecursionError):  # no TOML: read it without quotes
        pass
    options: dict[str, Any] = {}
    position = 0
    while position < len(text):
        match = _ITEM.match(text, position)
        if match is None or not _put(options, re.split(r"\s*\.\s*", match["keys"]), _value(match["value"])):
            return text
        position = match.end()
    return options or text


def text_of_options(options: dict[str, dict[str, Any]]) -> str:
    """Return the shortest text without blanks from which `options_from_text` reads these tables of options.

    Examples
    --------
    >>> text_of_options({"mine": {"mode": "never", "tile": 128, "name": "two words"}})
    'mine.mode=never,mine.tile=128,mine.name="two words"'
    """
    return ",".join(
        f"{backend}.{word}={_written(value)}"
        for backend, table in options.items()
        for word, value in table.items()
    )


def _written(value: Any) -> str:
    import json

    if isinstance(value, str) and re.fullmatch(r"[\w./:+-]+", value) and _value(value) == value:
        return value
    return json.dumps(value, default=str, separators=(",", ":"))


def _value(text: str) -> Any:
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _put(options: dict[str, Any], keys: list[str], value: Any) -> bool:
    """Put a value where its keys lead; return False if that place is taken."""
    table = options
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            return False
    if keys[-1] in table:
        return False
    table[keys[-1]] = value
    return True
