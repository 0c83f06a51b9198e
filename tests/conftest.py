"""What every test shares: no configuration from outside, and a stranger's backend to register."""

from __future__ import annotations

import os

import pytest
import toy_backend

from convhub import config, plugins


@pytest.fixture(autouse=True)
def _nobodys_settings(monkeypatch, tmp_path_factory):
    """Hide the settings, and the measured choices, of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("CONVHUB_")]:
        monkeypatch.delenv(name)
    home = tmp_path_factory.getbasetemp() / "home"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    config.reload()
    yield
    config.reload()


@pytest.fixture
def toy():
    """Register the toy backend, as an installed plugin would be, and give its name."""
    plugins.register(toy_backend, "toy")
    yield "toy"
    plugins.unregister("toy")
