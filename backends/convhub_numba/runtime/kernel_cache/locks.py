"""Locks a name among processes, by a file that exists while the lock is held.

The system releases the lock of a process that ends in any way, so that none is left behind. Where there are
no such locks (on some file systems, or in a folder that cannot be written), nobody waits.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator

__all__ = ["is_locked", "locked", "wait_until_free"]

#: How often a waiting process looks, in seconds; compiling takes a tenth of a second and more.
LOOK_EVERY = 0.03

_FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@contextlib.contextmanager
def locked(path: str) -> Iterator[bool]:
    """Hold a lock for the time of a block, or give False at once if another process or thread holds it.

    It gives True too where there are no locks.
    """
    try:
        descriptor = _acquire(path)
    except BlockingIOError:
        yield False
        return
    except OSError:
        yield True
        return
    try:
        yield True
    finally:
        # The file goes before the lock, so that a process that still has it open finds that it is gone.
        with contextlib.suppress(OSError):  # on Windows an open file cannot be removed, and stays
            os.unlink(path)
        os.close(descriptor)


def wait_until_free(path: str, seconds: float) -> None:
    """Wait until nobody holds a lock, or the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and is_locked(path):
        time.sleep(LOOK_EVERY)


def is_locked(path: str) -> bool:
    """Say whether a process or thread holds a lock."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return False
    try:
        _lock(descriptor)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _acquire(path: str) -> int:
    """Return a descriptor that holds the lock of a file.

    Raises
    ------
    BlockingIOError
        If another one holds it.
    OSError
        If files cannot be locked there.
    """
    while True:
        descriptor = os.open(path, _FLAGS | os.O_CREAT, 0o600)
        try:
            _lock(descriptor)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the previous holder has removed this file, and others do not find its lock


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(*error.args) from error
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
