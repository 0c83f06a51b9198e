"""Keeps the folder of compiled kernels within a size: the files that were used longest ago are removed.

Any process may do so at any time. A kernel that is already loaded needs no file, and one whose file is gone
is compiled again.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

from .key import SUFFIX

__all__ = ["LIMIT_BYTES", "keep_within", "kept_files"]

#: The most bytes of compiled kernels in a folder. A kernel takes 20 to 250 KiB, a large network a few MiB.
LIMIT_BYTES = 512 * 2**20

#: The age in seconds of what a process that ended suddenly has left: unfinished files, and files of locks.
LEFT_OVER = 24 * 3600


def keep_within(folder: str, limit: int = LIMIT_BYTES) -> None:
    """Remove the kernels that were used longest ago, until the others fit into `limit` bytes."""
    with contextlib.suppress(OSError):
        _remove_left_over(folder)
        files = sorted(kept_files(folder), key=lambda file: file[1].st_mtime)
        total = sum(status.st_size for _, status in files)
        for path, status in files[:-1]:  # the newest is the one that was just written
            if total <= limit:
                return
            with contextlib.suppress(OSError):  # another process has removed it, or Windows has it open
                os.unlink(path)
            total -= status.st_size


def kept_files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the path and the status of each kernel's file."""
    with os.scandir(folder) as found:
        for entry in found:
            with contextlib.suppress(FileNotFoundError):
                if entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False):
                    yield entry.path, entry.stat(follow_symlinks=False)


def _remove_left_over(folder: str) -> None:
    oldest = time.time() - LEFT_OVER
    with os.scandir(folder) as found:
        for entry in found:
            if SUFFIX + "." in entry.name:
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        os.unlink(entry.path)
