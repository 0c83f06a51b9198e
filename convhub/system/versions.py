"""Reads versions of distributions from their metadata, without importing them."""

from __future__ import annotations

import importlib.metadata

__all__ = ["RELEVANT", "version_of", "versions"]

#: The distributions that a bug report should name; those of CuPy exclude each other.
RELEVANT = (
    "convhub",
    "numpy",
    "numba",
    "llvmlite",
    "torch",
    "cupy",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "cuda-toolkit",
    "nvidia-cuda-nvrtc",
    "nvidia-cuda-nvrtc-cu12",
    "ml_dtypes",
    "pluggy",
    "msgspec",
)


def version_of(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """Return the versions of the installed distributions in `RELEVANT`."""
    found = {name: version_of(name) for name in RELEVANT}
    return {name: version for name, version in found.items() if version is not None}
