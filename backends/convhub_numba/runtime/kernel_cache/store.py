"""Loads, saves and claims compiled kernels.

An invalid file counts as absent: the kernel is compiled, and the file replaced. A file of another version,
another processor or other sources has another name, and is not looked at.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import pickle
from collections.abc import Iterator
from typing import Any, NamedTuple

from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from . import files, locks
from .key import kernel_key
from .limit import keep_within
from .location import VARIABLE, place
from .sources import SourceError

__all__ = ["claim", "folder", "load", "no_files", "save", "wait_for_others", "why_not_kept"]

log = logging.getLogger("convhub.numba")

#: The longest time in seconds to wait for another process that compiles a kernel; it may have been stopped.
PATIENCE = 120.0


class _File(NamedTuple):
    """The place where a kernel is kept, and its encoded key."""

    path: str
    key: bytes

    @property
    def lock(self) -> str:
        """The path of the lock of whoever compiles the kernel."""
        return f"{self.path}.lock"


#: Whether the caller wants no files; the thread that compiles has the caller's context.
_without: contextvars.ContextVar[bool] = contextvars.ContextVar("without_files", default=False)


@contextlib.contextmanager
def no_files() -> Iterator[None]:
    """Neither look for files of kernels nor write any within this block."""
    before = _without.set(True)
    try:
        yield
    finally:
        _without.reset(before)


def folder() -> str | None:
    """Return the folder in which kernels are kept, or None and log the reason once."""
    if _without.get():
        return None
    found = place()
    if found.folder is None:
        _not_kept("; ".join(found.why_not))
    return found.folder


def load(kernel: Any, signature: tuple[Any, ...]) -> Any | None:
    """Return a kernel that an earlier process compiled, or None; the target context must be ready for it."""
    file = _file(kernel, signature)
    if file is None:
        return None
    try:
        found = files.unpacked(files.read_bytes(file.path))
        if found.key != file.key:
            raise ValueError("it is the file of another kernel")
        result = CompileResult._rebuild(kernel.targetctx, *pickle.loads(found.payload))
    except FileNotFoundError:
        return None
    except MemoryError:
        raise
    # Whatever is wrong with a file, the kernel can be compiled and the file replaced.
    except Exception as error:  # noqa: BLE001
        _log_once(f"{file.path} is passed over and will be replaced: {_described(error)}")
        return None
    files.touch(file.path)
    return result


def save(kernel: Any, signature: tuple[Any, ...], result: Any) -> None:
    """Keep a kernel for later processes, if there is a place for it."""
    file = _file(kernel, signature)
    if file is None:
        return
    if result.library.has_dynamic_globals:
        log.warning("%s.%s is not kept: it holds addresses", kernel.__module__, kernel.__name__)
        return
    # Numba's annotations name the files of the source, and only print.
    payload = dumps(result._replace(type_annotation="")._reduce())
    try:
        files.replace(file.path, files.packed(files.KernelFile(file.key, payload)))
    except OSError as error:
        _not_kept(f"{file.path}: {error.strerror or error}")
        return
    keep_within(os.path.dirname(file.path))


@contextlib.contextmanager
def claim(kernel: Any, signature: tuple[Any, ...]) -> Iterator[bool]:
    """Tell other processes that this one compiles a kernel; False if another one already does."""
    file = _file(kernel, signature)
    if file is None:
        yield True
        return
    with locks.locked(file.lock) as claimed:
        yield claimed


def wait_for_others(kernel: Any, signature: tuple[Any, ...]) -> None:
    """Wait while another process compiles a kernel; take no lock into this wait that a fork waits for."""
    file = _file(kernel, signature)
    if file is not None:
        log.info("waiting for another process that compiles %s.%s", kernel.__module__, kernel.__name__)
        locks.wait_until_free(file.lock, PATIENCE)


def _file(kernel: Any, signature: tuple[Any, ...]) -> _File | None:
    """Return where a kernel is kept, or None if it cannot be."""
    where = folder()
    if where is None:
        return None
    if kernel.py_func.__closure__:
        _log_once(f"{kernel.__module__}.{kernel.__name__} is not kept: it depends on variables around it")
        return None
    try:
        key = kernel_key(kernel, signature)
    except SourceError as error:
        _log_once(f"the kernels of {kernel.__module__} are not kept: {error}")
        return None
    return _File(os.path.join(where, key.file_name), key.encoded())


def why_not_kept() -> str | None:
    """Return the reason for which some kernel of this process is not kept, or None."""
    return _told[0] if _told else None


def _not_kept(reason: str) -> None:
    """Log once in a process why kernels are not kept, and what would help."""
    if not _told:
        _told.append(reason)
        log.warning(
            "compiled kernels are not kept, and each process compiles its own: %s. To keep them, set %s to a "
            "folder that has room, and that only you can write to",
            reason,
            VARIABLE,
        )


def _log_once(line: str) -> None:
    """Log a warning that is the same at each of the steps from loading a kernel to saving it."""
    if line not in _logged:
        _logged.add(line)
        log.warning("%s", line)


_told: list[str] = []
_logged: set[str] = set()


def _described(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
