"""Finds configuration files, and reads them.

A file that cannot be looked for (a home that this user may not enter, a working folder that is gone) is
absent, and a note says so. A file with convhub's own name that is there but cannot be read is an error.
"""

from __future__ import annotations

import functools
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..callers_code import raised_by_caller
from ..errors import ConfigurationError, safe_str

__all__ = ["FolderError", "Found", "find_project_file", "find_user_file", "user_folder"]

NAME = "convhub.toml"
SHARED = "pyproject.toml"

#: The largest configuration file, in bytes. The limit keeps a file of another kind from being read whole.
MOST_BYTES = 2**20


class Found(NamedTuple):
    """A configuration file: its text, the table of settings in it, and the keys that lead to that table."""

    path: Path
    text: str
    table: Any
    within: tuple[str, ...]


class FolderError(OSError):
    """A user folder cannot be determined: there is no home, or a variable is no absolute path."""


def user_folder(kind: Literal["config", "cache"]) -> Path:
    """Return convhub's configuration or cache folder of this user; it need not exist.

    Raises
    ------
    FolderError
        If this user has no such folder.
    """
    import platformdirs

    find = {"config": platformdirs.user_config_path, "cache": platformdirs.user_cache_path}[kind]
    variable = f"XDG_{kind.upper()}_HOME"
    try:
        path = find("convhub", appauthor=False)
    except (OSError, RuntimeError, KeyError) as error:  # no HOME, and no such user id in /etc/passwd
        if raised_by_caller(error):
            raise
        raise FolderError(
            f"the user has no {kind} folder, since the home folder is unknown: {safe_str(error)}"
        ) from error
    if not path.is_absolute():  # it would be relative to the working folder
        raise FolderError(f"the user's {kind} folder is {str(path)!r}; {variable} must be an absolute path")
    return path


def find_user_file(note: Callable[[str], None]) -> Found | None:
    """Return convhub.toml in the user's configuration folder, or None."""
    try:
        folder = user_folder("config")
    except FolderError as error:
        note(f"the user's {NAME} is not looked for: {error}")
        return None
    path = folder / NAME
    return _read_own(path) if _is_there(path, note) else None


def find_project_file(note: Callable[[str], None]) -> Found | None:
    """Return the nearest convhub.toml, or pyproject.toml with [tool.convhub], from this folder upward."""
    try:
        here = Path.cwd()
    except OSError as error:  # removed meanwhile, or below an unreadable folder
        if raised_by_caller(error):
            raise
        note(f"a project's {NAME} and {SHARED} are not looked for: the working folder: {error.strerror}")
        return None
    for folder in (here, *here.parents):
        plain = folder / NAME
        if _is_there(plain, note):
            return _read_own(plain)
        found = _read_shared(folder / SHARED, note)
        if found is not None:
            return found
    return None


def _is_there(path: Path, note: Callable[[str], None]) -> bool:
    """Return whether a file with our own name is there; anything else with that name is an error."""
    try:
        mode = os.stat(path).st_mode  # one frame, which is cheap for `raised_by_caller`
    except OSError as error:
        if raised_by_caller(error):
            raise
        if _is_link(path):
            raise ConfigurationError(
                f"{path} is a link to {os.readlink(path)}, which cannot be followed: {error.strerror}; "
                "it must lead to a file, or be removed"
            ) from error
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            note(f"{path} cannot be looked for, and counts as absent: {error.strerror}")
        return False
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"
        raise ConfigurationError(f"{path} is {kind}; it must be a file of settings, or have another name")
    return True


def _is_link(path: Path) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(path).st_mode)
    except OSError as error:  # not even its status can be read
        if raised_by_caller(error):
            raise
        return False


def _read_own(path: Path) -> Found:
    try:
        raw = _read(path)
    except OSError as error:
        if raised_by_caller(error):
            raise
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    text, table = _parsed(path, raw)
    return Found(path, text, table, ())


def _read_shared(path: Path, note: Callable[[str], None]) -> Found | None:
    """Return a pyproject.toml that has our settings; others are ignored, even if they are invalid."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        raw = _read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if raised_by_caller(error):
            raise
        note(f"{path} cannot be read, and counts as absent: {error.strerror}")
        return None
    try:
        text, parsed = _parsed(path, raw)
    except ConfigurationError as error:
        if _speaks_of_us(raw):
            raise
        note(f"{error}; it has no [tool.convhub], and is passed over")
        return None
    tools = parsed.get("tool")
    table = tools.get("convhub") if isinstance(tools, dict) else None
    return None if table is None else Found(path, text, table, ("tool", "convhub"))


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


@functools.lru_cache(maxsize=4)  # settings are read again when a variable changes; files hardly ever do
def _toml(raw: bytes) -> tuple[str, dict[str, Any]]:
    """Return a file's text and what it says, which no reader changes."""
    import tomllib

    text = raw.decode("utf-8-sig")
    return text, tomllib.loads(text)


def _parsed(path: Path, raw: bytes) -> tuple[str, dict[str, Any]]:
    if len(raw) > MOST_BYTES:
        raise ConfigurationError(
            f"{path} has more than {MOST_BYTES} bytes; a configuration file has at most that many"
        )
    try:
        return _toml(raw)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path} is not valid TOML: line {line} is not UTF-8") from error
    except RecursionError as error:
        raise ConfigurationError(f"{path} is not valid TOML: its values are nested too deeply") from error
    except ValueError as error:  # from tomllib, or from a number that has too many digits for Python
        if raised_by_caller(error):
            raise
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error


def _speaks_of_us(raw: bytes) -> bool:
    """Return whether a text that is no TOML was meant to hold our settings.

    It may have any encoding: in UTF-16, which an editor or a shell may write, each letter has a zero byte
    beside it.
    """
    plain = raw.replace(b"\0", b"")
    quote, dot = rb"[\"']?", rb"\s*\.\s*"
    header = rb"(?m)^[^\w#\n]*" + quote + b"tool" + quote + dot + quote + b"convhub" + quote
    inside = (
        rb"(?ms)^[ \t]*\[[ \t]*"
        + quote
        + b"tool"
        + quote
        + rb"[ \t]*\][^\[]*?^[ \t]*"
        + quote
        + b"convhub"
        + quote
    )
    return bool(re.search(header, plain) or re.search(inside, plain))
