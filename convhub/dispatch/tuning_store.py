"""Keeps measured choices in an SQLite file in the user's cache folder, and in this process's memory.

The file is shared by all processes of a user. Where it cannot be used, choices are kept in memory, so that
nothing is measured twice in a process, and one line in the log says why: a file that another process holds
locked is waited for only briefly, and then not tried for a while; a damaged file is moved aside.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..callers_code import raised_by_caller
from ..config.files import user_folder
from ..errors import describe_error

__all__ = ["Measured", "database_path", "keep", "recall"]

logger = logging.getLogger("convhub")

T = TypeVar("T")

#: How long to wait for another process that is writing, in seconds; a write takes milliseconds.
PATIENCE = 0.25
#: How long a file that could not be used is not tried again, in seconds.
PAUSE = 60.0
#: The most choices that memory holds; shapes may vary without end.
MOST = 4096

#: SQLite's codes of a damaged file; the last is that of a file with other tables than ours.
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class Measured(NamedTuple):
    """The fastest backend, and how many seconds it took."""

    backend: str
    seconds: float


_memory: dict[tuple[str, str], Measured] = {}
_logged: set[str] = set()
_unused_until = 0.0


def database_path() -> Path:
    """Return where measured choices are kept.

    Raises
    ------
    FolderError
        An `OSError`, if this user has no folder for caches.
    """
    return user_folder("cache") / "tuning.sqlite"


def recall(problem: str, circumstances: str) -> Measured | None:
    """Return the measured choice for a problem, or None; this makes no file and no folder."""
    known = _memory.get((problem, circumstances))
    return known or _used(lambda path: _read(path, problem, circumstances))


def keep(problem: str, circumstances: str, measured: Measured) -> None:
    """Keep a measured choice, in memory where the file cannot be used."""
    if _used(lambda path: _write(path, problem, circumstances, measured)):
        _memory.pop((problem, circumstances), None)
        return
    if len(_memory) >= MOST:
        _memory.clear()
    _memory[problem, circumstances] = measured


def _read(path: Path, problem: str, circumstances: str) -> Measured | None:
    if not path.exists():
        return None
    with _connected(path, "ro") as connection:
        row = connection.execute(
            "SELECT backend, seconds FROM choice WHERE problem = ? AND circumstances = ?",
            (problem, circumstances),
        ).fetchone()
    return None if row is None else Measured(str(row[0]), float(row[1]))


def _write(path: Path, problem: str, circumstances: str, measured: Measured) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    with _connected(path, "rwc") as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS choice (problem TEXT, circumstances TEXT, backend TEXT, "
            "seconds REAL, PRIMARY KEY (problem, circumstances))"
        )
        connection.execute(
            "INSERT OR REPLACE INTO choice VALUES (?, ?, ?, ?)", (problem, circumstances, *measured)
        )
    return True


@contextlib.contextmanager
def _connected(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    address = f"{path.absolute().as_uri()}?mode={mode}"
    with contextlib.closing(sqlite3.connect(address, timeout=PATIENCE, uri=True)) as connection, connection:
        yield connection


def _used(use: Callable[[Path], T | None]) -> T | None:
    """Return what `use` returns for the file; None, with a line in the log, where it cannot be used now."""
    global _unused_until
    if time.monotonic() < _unused_until:
        return None
    try:
        path = database_path()
        try:
            return use(path)
        except sqlite3.DatabaseError as error:
            if raised_by_caller(error) or _code(error) not in _DAMAGED:
                raise
            _move_aside(path, error)
            return use(path)
    except (sqlite3.Error, OSError) as error:
        if raised_by_caller(error):
            raise
        _unused_until = time.monotonic() + PAUSE
        _log(_why(error))
        return None


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary code of an error, without the extended code in higher bits."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _move_aside(path: Path, error: sqlite3.Error) -> None:
    aside = path.with_name(f"{path.name}.damaged")
    path.replace(aside)
    path.with_name(f"{path.name}-journal").unlink(missing_ok=True)  # The journal of the damaged file.
    logger.warning(
        "convhub: the file of measured choices was damaged (%s) and is now %s; a new one takes its place",
        describe_error(error),
        aside,
    )


def _why(error: sqlite3.Error | OSError) -> str:
    if isinstance(error, OSError):
        return describe_error(error)  # the error names the folder
    if _code(error) in _LOCKED:
        return f"another process holds {database_path()} locked"
    return f"{database_path()} cannot be used: {describe_error(error)}"


def _log(why: str) -> None:
    if why not in _logged:
        _logged.add(why)
        logger.warning("convhub: measured choices stay in memory, since %s", why)
