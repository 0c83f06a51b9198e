"""Reads and writes the file of one compiled kernel.

A file is ``MAGIC``, a digest of all that follows, the length of the kernel's key, the key, and a pickle. So
nothing is unpickled or run that this engine did not write completely, and for that kernel.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
import uuid
from typing import NamedTuple

from .location import distrust

__all__ = ["FOREIGN", "KernelFile", "key_of", "packed", "read_bytes", "replace", "touch", "unpacked"]

MAGIC = b"convhub kernel 2"
DIGEST_BYTES = 32
LENGTH_BYTES = 4
FOREIGN = "it is no compiled kernel of this engine"

#: A file that is read is marked as used at most this often, in seconds.
MARK_EVERY = 24 * 3600


class KernelFile(NamedTuple):
    """The two parts of a file: the encoded key of a kernel, and the pickle."""

    key: bytes
    payload: bytes


def packed(file: KernelFile) -> bytes:
    """Return the content of a file."""
    rest = len(file.key).to_bytes(LENGTH_BYTES, "little") + file.key + file.payload
    return MAGIC + hashlib.sha256(rest).digest() + rest


def unpacked(content: bytes) -> KernelFile:
    """Return the parts of a file.

    Raises
    ------
    ValueError
        If the content is not as `packed` has made it.
    """
    magic, content = content[: len(MAGIC)], content[len(MAGIC) :]
    digest, rest = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if magic != MAGIC:
        raise ValueError(FOREIGN)
    if digest != hashlib.sha256(rest).digest():
        raise ValueError("it is not as it was written")
    end = LENGTH_BYTES + int.from_bytes(rest[:LENGTH_BYTES], "little")
    return KernelFile(rest[LENGTH_BYTES:end], rest[end:])


def key_of(beginning: bytes) -> bytes:
    """Return the key from the beginning of a file, whose digest is not checked.

    Raises
    ------
    ValueError
        If it does not begin like a file that `packed` has made.
    """
    if not beginning.startswith(MAGIC):
        raise ValueError(FOREIGN)
    rest = beginning[len(MAGIC) + DIGEST_BYTES :]
    return rest[LENGTH_BYTES : LENGTH_BYTES + int.from_bytes(rest[:LENGTH_BYTES], "little")]


def read_bytes(path: str, most: int = -1) -> bytes:
    """Return the content of a file that nobody else could have written, or its beginning.

    Raises
    ------
    ValueError
        If it is no file, or somebody else could have written it.
    OSError
        If it cannot be read.
    """
    opened = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(opened, "rb") as stream:
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no file")
        against = distrust(status)
        if against is not None:
            raise ValueError(against)
        return stream.read(most)


def touch(path: str) -> None:
    """Mark a file as used now, unless that was done within a day."""
    with contextlib.suppress(OSError):  # it may be in a folder that is read-only
        if time.time() - os.stat(path).st_mtime > MARK_EVERY:
            os.utime(path)


def replace(path: str, content: bytes) -> None:
    """Write a file atomically: others see all of it or nothing."""
    unfinished = f"{path}.{uuid.uuid4().hex[:16]}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(unfinished, flags, 0o644), "wb") as stream:
            stream.write(content)
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)
        raise
