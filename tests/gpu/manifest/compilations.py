"""Sources of the backend *cupy*, compiled for each architecture, with a cache of what the compiler said.

Compiling takes from a twentieth of a second to seconds, and there are hundreds of compilations; a rerun takes
the log of each from the cache. Its key is everything that the compiler reads, and a failure is never kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from pathlib import Path

import platformdirs
from convhub_cupy.plan.variants import Source
from convhub_cupy.runtime.cupy_runtime import COMPILE_OPTIONS, INCLUDES

from . import nvrtc
from .resources import Resources, resources_in

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
DIGITS = 16  # of a digest; hexadecimal

# Asked when this is imported: while a test runs, the user's own folders are hidden from it.
CACHE = platformdirs.user_cache_path("convhub", appauthor=False) / "nvrtc"


def text_of(source: Source) -> str:
    """Return the text that names a source in the record and in messages."""
    return " ".join([source.file, source.name, *source.options])


def compilation_of(source: Source) -> str:
    """Return the text that names a compilation, which several kernels of one file share."""
    return " ".join([source.file, *source.options])


def log_of(source: Source, architecture: int) -> str:
    """Return what the compiler said of a source, from the cache or from now; CompileError where it fails.

    Kernels of one file with the same options are one compilation.
    """
    path = Path(INCLUDES) / source.file
    text = path.read_text()
    # No folder with CUDA's headers: kernels do without, and so need none where they run.
    options = [*COMPILE_OPTIONS, f"-I{INCLUDES}", *source.options]
    parts = (str(nvrtc.version()), str(architecture), digest_of(source))
    entry = CACHE / f"{hashlib.sha256(' '.join(parts).encode()).hexdigest()}.log"
    with contextlib.suppress(FileNotFoundError):
        return entry.read_text()
    log = nvrtc.compile_cubin(text, path.name, options, architecture).log
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, and nothing else
        _write(entry, log)
    return log


def resources_of(source: Source, architecture: int) -> Resources:
    """Return what a kernel takes on an architecture."""
    kernels = resources_in(log_of(source, architecture))
    if source.name not in kernels:
        raise LookupError(f"{source.file} has no kernel {source.name}, but {sorted(kernels)}")
    return kernels[source.name]


def digest_of(source: Source) -> str:
    """Return a digest of all that the compiler reads: options, text, and what the text may include."""
    path = Path(INCLUDES) / source.file
    text = path.read_text()
    digest = hashlib.sha256()
    parts = [*COMPILE_OPTIONS, *source.options, path.name, text]
    # Headers of the package are named from its folder, so that each clone has the same digests.
    for header, contents in sorted(_included(path, text, {}).items()):
        parts += [os.path.relpath(header, INCLUDES), contents]
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()[:DIGITS]


def _included(path: Path, text: str, found: dict[Path, str]) -> dict[Path, str]:
    """Return the texts of all files that one includes, those in branches not taken among them."""
    for name in re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', text, re.MULTILINE):
        for header in (path.parent / name, Path(INCLUDES) / name):
            if header.is_file() and header not in found:
                found[header] = header.read_text()
                _included(header, found[header], found)
    return found


def _write(path: Path, text: str) -> None:
    """Write a file whole, or not at all: other processes may read it at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    os.replace(file.name, path)
