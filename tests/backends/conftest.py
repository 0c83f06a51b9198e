"""What tests of engines have in common."""

from __future__ import annotations

import importlib.util

import pytest


@pytest.fixture(autouse=True)
def machine_of_many_cores(monkeypatch):
    """Let engines plan for as many threads as a test asks for, however few cores there are."""
    if importlib.util.find_spec("numba") is not None:
        from convhub_numba.runtime import threads

        monkeypatch.setattr(threads, "cores", lambda: 64)
