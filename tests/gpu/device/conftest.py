"""Tests here need a CUDA device. Where there is none they are skipped, and say why; `make test-gpu` fails.

Modules import CuPy in their tests, or by `pytest.importorskip`, so that they can be collected anywhere.
"""

from __future__ import annotations

import os

import convhub_cupy
import pytest

#: In the environment, it says that there must be a device.
REQUIRED = "GPU_REQUIRED"


def why_not() -> str | None:
    """Return why no device can be used, or None."""
    (backend,) = convhub_cupy.convhub_backends()
    answer = backend.availability()
    return None if answer is True else f"no CUDA device: {answer}"


@pytest.fixture(autouse=True, scope="session")
def _device():
    """Have a device, or else no test."""
    reason = why_not()
    if reason is None:
        return
    if os.environ.get(REQUIRED):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
