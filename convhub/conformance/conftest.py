"""Loads the suite's plugin if neither ``-p`` nor an entry point has."""

from __future__ import annotations

import pytest

from convhub.conformance import plugin


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Load the plugin."""
    if not pluginmanager.is_registered(plugin):
        pluginmanager.register(plugin, plugin.__name__)
