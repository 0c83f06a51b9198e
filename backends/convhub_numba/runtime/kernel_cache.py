"""Keeps compiled kernels in files, one for each kernel and types of arguments.

A file is a header and a pickle. The header has a digest of all that follows, so that nothing is unpickled or
run that this engine did not write completely; and a stamp of all that the machine code depends on. An invalid
file counts as absent: the kernel is compiled, and the file replaced.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import pickle
import stat
import sys
import uuid
from typing import Any, NamedTuple

import llvmlite
import numba
from numba.core import config
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from .cache_folder import VARIABLE, distrust, place

__all__ = ["folder", "load", "save", "why_not_kept"]

log = logging.getLogger("convhub.numba")

MAGIC = b"convhub kernel 1"
DIGEST_BYTES = 32

#: The settings of Numba that change what a kernel compiles to. Numba's own files do not tell them apart.
SETTINGS = (
    "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "DISABLE_INTEL_SVML", "ENABLE_AVX", "ENABLE_PROFILING",
    "EXTEND_VARIABLE_LIFETIMES", "LOOP_VECTORIZE", "OPT", "SLP_VECTORIZE",
)  # fmt: skip


class _File(NamedTuple):
    """The place where a kernel is kept, and the stamp of an up-to-date one."""

    path: str
    stamp: bytes


def folder() -> str | None:
    """Return the folder in which kernels are kept, or None and log the reason once."""
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
        payload = _payload(file)
        return payload and CompileResult._rebuild(kernel.targetctx, *pickle.loads(payload))
    except MemoryError:
        raise
    # Whatever is wrong with a file, the kernel can be compiled and the file replaced.
    except Exception as error:  # noqa: BLE001
        log.warning("%s is passed over and will be replaced: %s", file.path, _said(error))
        return None


def save(kernel: Any, signature: tuple[Any, ...], result: Any) -> None:
    """Keep a kernel for later processes, if there is a place for it."""
    file = _file(kernel, signature)
    if file is None:
        return
    if result.library.has_dynamic_globals:
        log.warning("%s.%s is not kept: it holds addresses", kernel.__module__, kernel.__name__)
        return
    payload = file.stamp + dumps(result._reduce())
    try:
        _replace(file.path, MAGIC + hashlib.sha256(payload).digest() + payload)
    except OSError as error:
        _not_kept(f"{file.path}: {error.strerror or error}")


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


_told: list[str] = []


def why_not_kept() -> str | None:
    """Return the reason for which some kernel of this process is not kept, or None."""
    return _told[0] if _told else None


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _file(kernel: Any, signature: tuple[Any, ...]) -> _File | None:
    """Return where a kernel is kept, or None if it cannot be."""
    where = folder()
    if where is None:
        return None
    settings = [(name, getattr(config, name, None)) for name in SETTINGS]
    target = repr(([str(kind) for kind in signature], kernel.targetctx.codegen().magic_tuple(), settings))
    code = kernel.py_func.__code__
    try:
        source = _source_digest(kernel.__module__)
    except (AttributeError, OSError) as error:
        _not_kept(f"the source of {kernel.__module__} cannot be read: {_said(error)}")
        return None
    versions = (numba.__version__, llvmlite.__version__, sys.version)
    stamped = (versions, target, source, code.co_firstlineno, code.co_code)
    module, python = kernel.__module__.partition(".")[2], f"py{sys.version_info[0]}{sys.version_info[1]}"
    digest = hashlib.sha256(target.encode()).hexdigest()[:20]
    return _File(
        os.path.join(where, f"{module}.{kernel.__name__}-{python}-{digest}.nbc"),
        hashlib.sha256(repr(stamped).encode()).digest(),
    )


@functools.cache
def _source_digest(module: str) -> str:
    """Return a digest of a module's file, wherever the import system has it: in a folder, or an archive."""
    spec = sys.modules[module].__spec__
    return hashlib.sha256(spec.loader.get_data(spec.origin)).hexdigest()  # type: ignore[union-attr]


def _payload(file: _File) -> bytes | None:
    """Return the pickle in a file, or None where there is none or it is out of date.

    Raises
    ------
    ValueError, OSError
        If the file is not as `save` has written it.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        opened = os.open(file.path, flags)
    except FileNotFoundError:
        return None
    with open(opened, "rb") as stream:
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no file")
        against = distrust(status)
        if against is not None:
            raise ValueError(against)
        content = stream.read()
    magic, content = content[: len(MAGIC)], content[len(MAGIC) :]
    digest, payload = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if magic != MAGIC:
        raise ValueError("it is no compiled kernel of this engine")
    if digest != hashlib.sha256(payload).digest():
        raise ValueError("it is not as it was written")
    return payload[DIGEST_BYTES:] if payload[:DIGEST_BYTES] == file.stamp else None


def _replace(path: str, content: bytes) -> None:
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
