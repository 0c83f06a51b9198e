"""Digests the sources that a kernel is compiled from: its module's, and those of all modules that it imports.

Import statements are found in the text, which takes a twentieth of the time of parsing it. Text that merely
looks like one adds a module to the digest, which does no harm. Modules outside of the kernel's own package
and of this engine have versions, which the key of a kernel holds.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import time
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from typing import NamedTuple, Protocol, runtime_checkable

__all__ = ["SourceError", "closure", "source_digest"]

ENGINE = __name__.partition(".")[0]

#: When this process imported the engine. A file that has changed since then is not what the process runs.
_imported_at = time.time()

# A pattern that begins with letters, and not with the edge of a word, is found several times faster.
_COMMENT = re.compile(r"#.*")
_FROM = re.compile(r"from[ \t]+(\.*)([\w.]*)[ \t]*import[ \t]*(\([^)]*\)|(?:\\\r?\n|[^\r\n;])*)")
_IMPORT = re.compile(r"import[ \t]+((?:\\\r?\n|[\w., \t])+)")


@runtime_checkable
class ResourceLoader(Protocol):
    """A loader that gives the content of a module's file."""

    def get_data(self, path: str) -> bytes:
        """Return the content of a file."""


class SourceError(Exception):
    """The sources of a kernel cannot be read, or are not what this process runs."""


class _Source(NamedTuple):
    """The digest of a module's file, and the modules of the same packages that it imports."""

    digest: str
    imports: tuple[str, ...]


@functools.cache
def source_digest(module: str) -> str:
    """Return a digest of the sources that the kernels of a module are made of.

    Raises
    ------
    SourceError
        If one of them cannot be read, or has changed since it was imported.
    """
    found = [(name, _read(name).digest) for name in closure(module)]
    return hashlib.sha256(repr(found).encode()).hexdigest()


def closure(module: str) -> list[str]:
    """Return a module and all that it imports, directly or not, from its own package or this engine.

    A package is among them only if something is taken from its own file: that of an algorithm imports the
    planning of it, which changes no kernel.
    """
    found = {module}
    waiting = [module]
    while waiting:
        new = set(_read(waiting.pop()).imports) - found
        found |= new
        waiting += new
    return sorted(found)


@functools.cache
def _read(module: str) -> _Source:
    """Read a module's file, wherever the import system has it: in a folder, or an archive."""
    spec = _spec(module)
    if spec is None or spec.origin is None or not isinstance(spec.loader, ResourceLoader):
        raise SourceError(f"{module} has no file")
    try:
        content = spec.loader.get_data(spec.origin)
    except OSError as error:
        raise SourceError(f"{spec.origin}: {error.strerror or error}") from error
    if _changed_at(spec.origin) > _imported_at:
        raise SourceError(f"{spec.origin} has changed since it was imported")
    package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
    packages = (module.partition(".")[0], ENGINE)
    imports = set(_imports(_COMMENT.sub("", content.decode("utf-8", "replace")), package, packages))
    return _Source(hashlib.sha256(content).hexdigest(), tuple(sorted(imports)))


def _imports(text: str, package: str, packages: tuple[str, str]) -> Iterator[str]:
    """Yield the modules of these top-level packages from which a text imports anything."""
    for dots, name, imported in _FROM.findall(text):
        try:
            source = importlib.util.resolve_name(dots + name, package) if dots else name
        except ImportError:  # it only looks like an import
            continue
        spec = _spec(source) if source.partition(".")[0] in packages else None
        if spec is None:
            continue
        if spec.submodule_search_locations is None:
            yield source
            continue
        # Each name of a package may be a module, or something of the package's own file.
        for item in _items(imported.strip("()")):
            inner = f"{source}.{item}"
            yield source if _spec(inner) is None else inner
    for names in _IMPORT.findall(text):
        for item in _items(names):
            if item.partition(".")[0] in packages and _spec(item) is not None:
                yield item


def _items(names: str) -> Iterator[str]:
    """Yield what an import statement names, without the names that it gives."""
    for item in names.replace("\\", " ").split(","):
        yield from item.split()[:1]


def _spec(module: str) -> ModuleSpec | None:
    """Return where a module comes from, or None if there is none of that name.

    It need not be imported yet: an intrinsic may import it while a kernel is compiled.
    """
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None


def _changed_at(file: str) -> float:
    """Return when a file was last written or replaced; zero for one in an archive."""
    try:
        status = os.stat(file)
    except OSError:
        return 0.0
    return max(status.st_mtime, 0.0 if os.name == "nt" else status.st_ctime)
