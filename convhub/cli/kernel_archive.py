"""Writes compiled kernels into an archive for other machines, and reads one.

It is a ZIP file with a manifest, which lists each kernel with its backend, its name, its size and a digest.
The files in it are numbered: no name in an archive is ever the name of a file outside of it.
"""

from __future__ import annotations

import hashlib
import os
import uuid
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..errors import ArgumentError, one_line, short_repr

__all__ = ["ArchivedKernel", "read_archive", "write_archive"]

MANIFEST = "manifest.json"
FORMAT = 1

#: No compiled kernel is as large as this; a larger one is not read into memory.
MOST_BYTES = 2**28


class ArchivedKernel(NamedTuple):
    """A kernel from an archive: its content, or why it is refused."""

    backend: str
    name: str
    content: bytes
    refusal: str | None = None


@dataclass(frozen=True)
class _Entry:
    backend: str
    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class _Manifest:
    convhub_kernels: int
    kernels: list[_Entry]


def write_archive(path: Path, kernels: Iterable[ArchivedKernel]) -> None:
    """Write an archive; an existing file is replaced when the new one is complete."""
    entries = []
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:16]}")
    try:
        with zipfile.ZipFile(unfinished, "x", zipfile.ZIP_DEFLATED) as file:
            for number, kernel in enumerate(kernels):
                file.writestr(_file_name(number), kernel.content)
                digest = hashlib.sha256(kernel.content).hexdigest()
                entries.append(_Entry(kernel.backend, kernel.name, len(kernel.content), digest))
            file.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(_Manifest(FORMAT, entries))))
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def read_archive(path: Path) -> Iterator[ArchivedKernel]:
    """Yield the kernels of an archive, with the reason to refuse each that is not as the manifest says.

    Raises
    ------
    ArgumentError
        If the file cannot be read, or is no archive of kernels.
    """
    what = f"FILE is {str(path)!r}"
    try:
        with zipfile.ZipFile(path) as file:
            manifest = msgspec.json.decode(_content(file, MANIFEST, None), type=_Manifest)
            if manifest.convhub_kernels != FORMAT:
                written = manifest.convhub_kernels
                raise ArgumentError(f"{what}, whose convhub_kernels is {written}; it must be {FORMAT}")
            for number, entry in enumerate(manifest.kernels):
                yield _checked(file, number, entry)
    except OSError as error:
        raise ArgumentError(f"{what}, which cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError) as error:
        right = "it must be what `convhub cache export` wrote"
        raise ArgumentError(f"{what}; {right}: {one_line(str(error))}") from error


def _checked(file: zipfile.ZipFile, number: int, entry: _Entry) -> ArchivedKernel:
    """Return a kernel if it is as the manifest says, or why it is not."""
    try:
        content = _content(file, _file_name(number), entry.bytes)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        return ArchivedKernel(entry.backend, entry.name, b"", f"it is damaged: {one_line(str(error))}")
    except (KeyError, ValueError) as error:
        return ArchivedKernel(entry.backend, entry.name, b"", f"it is damaged: {short_repr(error.args[0])}")
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        return ArchivedKernel(
            entry.backend, entry.name, b"", "its content has not the digest of the manifest"
        )
    return ArchivedKernel(entry.backend, entry.name, content)


def _content(file: zipfile.ZipFile, name: str, size: int | None) -> bytes:
    """Return a file of an archive, of the given size if there is one.

    Raises
    ------
    KeyError, ValueError, zipfile.BadZipFile
        If it is missing, has another size, or is damaged.
    """
    information = file.getinfo(name)
    if information.file_size > MOST_BYTES or size not in (None, information.file_size):
        raise ValueError(f"it has {information.file_size} bytes")
    return file.read(information)


def _file_name(number: int) -> str:
    return f"kernels/{number}"
