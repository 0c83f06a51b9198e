"""Lists, removes, reads and writes the compiled kernels that are kept: `convhub.backend.KernelCache`."""

from __future__ import annotations

import contextlib
import importlib
import os
from functools import reduce

from numba.core.registry import cpu_target

from convhub.backend import CachedKernel

from . import files, limit
from .key import SUFFIX, KernelKey, current_settings, current_target, current_versions
from .location import place
from .sources import ENGINE, SourceError, source_digest

__all__ = ["entries", "folder", "read", "remove", "write"]

#: A key is at the beginning of a file, and is shorter than this.
BEGINNING_BYTES = 2**16


def folder() -> str:
    """Return the folder in which kernels are kept.

    Raises
    ------
    OSError
        If there is none, with the reason.
    """
    found = place()
    if found.folder is None:
        raise OSError("; ".join(found.why_not))
    return found.folder


def entries() -> list[CachedKernel]:
    """Return all kernels that are kept."""
    return [
        CachedKernel(
            name=os.path.basename(path),
            size=status.st_size,
            used=status.st_mtime,
            outdated=_outdated_file(path),
        )
        for path, status in sorted(limit.kept_files(folder()))
    ]


def remove(name: str) -> None:
    """Remove a kernel; it may be gone already."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(name))


def read(name: str) -> bytes:
    """Return a kernel as `write` takes it."""
    content = files.read_bytes(_path(name))
    files.unpacked(content)
    return content


def write(name: str, content: bytes) -> None:
    """Keep a kernel that `read` returned, here or on another machine.

    Raises
    ------
    ValueError
        If the content is not as `read` returned it, or that of a kernel of another name.
    """
    path = _path(name)
    if KernelKey.decoded(files.unpacked(content).key).file_name != name:
        raise ValueError("its name is not the one that follows from its content")
    files.replace(path, content)
    limit.keep_within(os.path.dirname(path))


def _path(name: str) -> str:
    """Return the path of a kernel; a name that has a folder is none."""
    if os.path.basename(name) != name or not name.endswith(SUFFIX):
        raise ValueError("its name is not that of a kernel")
    return os.path.join(folder(), name)


def _outdated_file(path: str) -> str | None:
    try:
        key = KernelKey.decoded(files.key_of(files.read_bytes(path, BEGINNING_BYTES)))
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    except ValueError as error:
        return str(error)
    return _outdated(key)


def _outdated(key: KernelKey) -> str | None:
    """Return why this process would not load a kernel of this key, or None."""
    target = current_target(cpu_target.target_context)
    if key.target[:2] != target[:2]:
        return f"it is for another processor, {' on '.join(reversed(key.target[:2]))}"
    if key.target != target:
        return "it is for a processor with other features"
    others = [version for version in key.versions if version not in current_versions()]
    if others:
        return f"it was compiled by {', '.join(others)}"
    if key.settings != current_settings():
        return "it was compiled with other settings of Numba"
    if key.module.partition(".")[0] != ENGINE:
        return "its kernel is not one of this engine"
    try:
        digest = source_digest(key.module)
    except SourceError as error:
        return f"its source is not there: {error}"
    if digest != key.sources or any(_fields_of(name) != fields for name, fields in key.fields.items()):
        return "its source has changed"
    return None


def _fields_of(tuple_class: str) -> list[str] | None:
    """Return the fields of one of the engine's named tuples; None if there is no such class now."""
    module, _, name = tuple_class.partition(":")
    if module.partition(".")[0] != ENGINE:
        return None
    try:
        found = reduce(getattr, name.split("."), importlib.import_module(module))
        return list(found._fields)
    except (ImportError, AttributeError):
        return None
