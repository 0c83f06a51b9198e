"""Checks for the packages that only the demo needs."""

from __future__ import annotations

import importlib.util

__all__ = ["check_installed"]

PACKAGES = {"matplotlib": "matplotlib", "PIL": "pillow", "sklearn": "scikit-learn"}


def check_installed() -> None:
    """Check that all packages are installed before anything is computed.

    Raises
    ------
    ModuleNotFoundError
        If a package is missing; the message names all missing ones, and the extra that installs them.
    """
    missing = [module for module in PACKAGES if importlib.util.find_spec(module) is None]
    if missing:
        names = ", ".join(PACKAGES[module] for module in missing)
        raise ModuleNotFoundError(
            f"the demo needs {names}; pip install 'convhub[demo]' brings it", name=missing[0]
        )
