"""The backend ``cupy``: a place held for CUDA kernels on CuPy arrays, which are still to be written.

It offers no primitive. What it does is say exactly what is missing, so that a table of backends and a
refusal are true: CuPy, or a driver, or the kernels.
"""

from __future__ import annotations

import importlib.util

from convhub.backend import Answer, Backend, Capabilities, hookimpl

__all__ = ["convhub_backends"]


def availability() -> Answer:
    """Return the first thing that is missing; asked late, since CuPy takes its time to import."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed: pip install 'convhub[cuda13]' (or 'convhub[cuda12]')"
    try:
        import cupy
    except ImportError as error:
        return f"CuPy is installed, but cannot be imported: {error}"
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CuPy is installed, but CUDA does not answer: {error}"
    if devices == 0:
        return "CuPy and a CUDA driver are there, but no device"
    return "CuPy and a device are there, but this release of convhub has no CUDA kernels yet"


@hookimpl
def convhub_backends() -> list[Backend]:
    """Return the backend ``cupy``."""
    return [
        Backend(
            "cupy",
            Capabilities(dtypes=(), devices=("cuda",), arrays="cupy"),
            availability=availability,
            preference={"cuda": 20},
            summary="CUDA kernels on CuPy arrays; not written yet",
        )
    ]
