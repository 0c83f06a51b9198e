"""Finding compute-sanitizer, and what it is asked to look for."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from pathlib import Path

#: Its tools: memory out of bounds, races in shared memory, barriers that not all threads reach, and global
#: memory that is read before it is written.
TOOLS = {
    # Padding makes what lies behind an array nobody's. Calls of CUDA's API that fail are CuPy's to report.
    "memcheck": ("--padding", "256", "--report-api-errors", "no"),
    "racecheck": (),
    "synccheck": (),
    "initcheck": (),
}

#: The exit code that it is told to have where it finds something.
FOUND = 86

#: The wheels that bring it, by the release of CUDA.
WHEELS = ("nvidia-cuda-sanitizer-api", "nvidia-cuda-sanitizer-api-cu12")


class MissingError(Exception):
    """There is no compute-sanitizer."""


def find() -> list[str]:
    """Return the beginning of its command line: from the path, the CUDA toolkit, or a wheel.

    Raises
    ------
    MissingError
        With what to install.
    """
    found = shutil.which("compute-sanitizer", path=_path_with_toolkits())
    if found is not None:
        return [found]
    for wheel in WHEELS:
        try:
            files = importlib.metadata.files(wheel) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for file in files:
            if file.parts[-2:] == ("bin", "compute-sanitizer"):
                return _from_wheel(Path(str(file.locate())))
    raise MissingError(
        "compute-sanitizer is neither on PATH, nor in CUDA_HOME, CUDA_PATH or /usr/local/cuda, nor installed "
        f"as a wheel: {sys.executable} -m pip install {WHEELS[0]} (for CUDA 12: {WHEELS[1]})"
    )


def _path_with_toolkits() -> str:
    roots = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    folders = [os.path.join(root, "bin") for root in roots if root]
    return os.pathsep.join([os.environ.get("PATH", ""), *folders])


def _from_wheel(program: Path) -> list[str]:
    """Return a wheel's program; that for CUDA 12 comes neither executable nor beside its parts."""
    if not os.access(program, os.X_OK):
        program.chmod(program.stat().st_mode | 0o111)
    parts = program.parents[1] / "lib"
    if (parts / "libsanitizer-collection.so").exists():
        return [str(program), "--injection-path", str(parts)]
    return [str(program)]


def command(tool: str, log: Path, program: list[str]) -> list[str]:
    """Return the command line that runs a program under a tool, and writes what is found to `log`."""
    options = ["--tool", tool, *TOOLS[tool], "--error-exitcode", str(FOUND), "--log-file", str(log)]
    return [*find(), *options, *program]


def summary(log: Path) -> str:
    """Return the line in which a tool says how much it has found; empty where it did not get so far."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    told = [line.lstrip("= ") for line in lines if " SUMMARY: " in line]
    return told[-1] if told else ""
