"""Tells whether Numba can compile here, and if not, what to do about it."""

from __future__ import annotations

import functools
import importlib.util
import os
from typing import Any

from convhub.backend import Answer
from convhub.errors import ConfigurationError

from . import forks

__all__ = ["LEAST_VERSION", "availability", "thread_limit"]

#: The lowest version that the extra ``convhub[numba]`` asks for.
LEAST_VERSION = (0, 68)
UPGRADE = "pip install --upgrade 'convhub[numba]'"


def availability() -> Answer:
    """Return True, or why Numba cannot be used here."""
    if importlib.util.find_spec("numba") is None:
        return "numba is not installed: pip install 'convhub[numba]'"
    try:
        thread_limit()
    except ConfigurationError as error:
        return str(error)
    try:
        numba = _imported()
    # Numba refuses a NumPy that is too new, lacks llvmlite or a system library, or cannot read its settings.
    except Exception as error:  # noqa: BLE001
        said = f"{type(error).__name__}: {error}"
        return f"numba is installed, but cannot be imported: {said}; {UPGRADE} may help"
    version = numba.version_info.short
    if version < LEAST_VERSION:
        found, least = (".".join(map(str, numbers)) for numbers in (version, LEAST_VERSION))
        return f"numba is {found}, and {least} or later is needed: {UPGRADE}"
    if numba.config.DISABLE_JIT:
        value = os.environ.get("NUMBA_DISABLE_JIT")
        where = f"NUMBA_DISABLE_JIT is {value!r}" if value else "numba.config.DISABLE_JIT is set"
        return f"{where}, so that Numba compiles nothing; unset it, or set it to 0"
    return True


@functools.cache  # so that later questions do not wait for a kernel that is being compiled
def _imported() -> Any:
    with forks.lock:
        import numba
    return numba


def thread_limit() -> int | None:
    """Return the number in ``NUMBA_NUM_THREADS`` in the environment, or None.

    Raises
    ------
    ConfigurationError
        If it holds no number of threads.
    """
    text = os.environ.get("NUMBA_NUM_THREADS")
    if not text:
        return None
    try:
        limit = int(text)
    except ValueError:
        limit = 0
    if limit < 1:
        raise ConfigurationError(
            f"NUMBA_NUM_THREADS is {text!r} in the environment; it must be a whole number, 1 or more"
        )
    return limit
