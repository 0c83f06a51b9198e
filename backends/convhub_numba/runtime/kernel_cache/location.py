"""Finds the folder that keeps compiled kernels between processes, and decides whether to trust it.

Code loaded from there runs. So the folder is named by the environment or lies in the user's home, and no file
in the working folder names it (as ``cache_dir`` in ``.numba_config.yaml`` does for Numba); and neither it nor
a file in it may be writable by another user.

==  =======================================================  ===========================================
1   ``NUMBA_CACHE_DIR`` in the environment, where it is set  this or none: it was set on purpose
2   the user's cache folder, as platformdirs names it        where it can be written
==  =======================================================  ===========================================
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import stat
from typing import NamedTuple

__all__ = ["VARIABLE", "Place", "distrust", "place"]

log = logging.getLogger("convhub.numba")

VARIABLE = "NUMBA_CACHE_DIR"

#: The name of the engine's folder in a cache folder that others share.
OWN_NAME = "convhub_numba"


class Place(NamedTuple):
    """The folder for compiled kernels; or None, and why: the folders that were tried, one a line."""

    folder: str | None
    why_not: tuple[str, ...] = ()


@functools.cache
def place() -> Place:
    """Return where this process keeps compiled kernels; found once."""
    named = os.environ.get(VARIABLE)
    if named:
        named = os.path.abspath(named)
        return _usable(os.path.join(named, OWN_NAME), named, f"{VARIABLE} is {named!r}", must_write=False)
    return _in_the_users_cache()


def _in_the_users_cache() -> Place:
    from platformdirs import user_cache_dir

    try:
        own = user_cache_dir("convhub", appauthor=False)
    except RuntimeError as error:  # newer versions of platformdirs, where no home is known
        return Place(None, (str(error),))
    if not os.path.isabs(own):  # and older ones, which would put it in the working folder
        return Place(None, (f"the user's cache folder is {own!r}, which is no absolute path",))
    return _usable(os.path.join(own, OWN_NAME), own, own, must_write=True)


def _usable(folder: str, above: str, called: str, must_write: bool) -> Place:
    """Make a folder, and return it unless that fails or it is not to be trusted."""
    try:
        _make(folder)
        against = distrust(os.stat(above), shared=True) or distrust(os.stat(folder))
    except OSError as error:
        return Place(None, (f"{called}: {error.strerror or error}",))
    if against is not None:
        log.info("%s: %s, so that compiled kernels from there are not trusted", called, against)
        return Place(None, (f"{called}: {against}",))
    if must_write and not os.access(folder, os.W_OK | os.X_OK):
        return Place(None, (f"{called}: it cannot be written",))
    return Place(folder)


def _make(folder: str) -> None:
    """Make a folder and those above it that are missing, none of which others can write to."""
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        above = os.path.dirname(folder)
        if above == folder:
            break
        folder = above
    for each in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process makes it at the same time
            os.mkdir(each, 0o755)


def distrust(status: os.stat_result, shared: bool = False) -> str | None:
    """Say who else could have written a file or a folder, or return None.

    Trusted are root, the user who runs this process, and a group that is this user's alone. Folders further
    up are not checked: putting another folder there still makes no files that belong to a trusted user.

    Parameters
    ----------
    status : os.stat_result
        The status of the file or folder.
    shared : bool
        Whether a folder may be one like ``/tmp``, in which users cannot touch the files of others.
    """
    if os.name == "nt":
        return None  # a mode means nothing there, and a user's folders are private
    if status.st_uid not in (0, os.geteuid()):
        return f"it belongs to the user with the number {status.st_uid}"
    if shared and status.st_mode & stat.S_ISVTX:
        return None
    if status.st_mode & stat.S_IWOTH:
        return "everybody can write to it"
    if status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid):
        return f"everybody in the group with the number {status.st_gid} can write to it"
    return None


def _is_private(group: int) -> bool:
    """Say whether a group is one trusted user's: it has the user's name, as is usual, and nobody else."""
    import grp
    import pwd

    try:
        entry = grp.getgrgid(group)
        owner = pwd.getpwnam(entry.gr_name)
    except KeyError:
        return False
    return owner.pw_uid in (0, os.geteuid()) and set(entry.gr_mem) <= {entry.gr_name}
