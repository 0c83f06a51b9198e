"""Makes the command line of another Python process that finds the same modules as this one."""

from __future__ import annotations

import os
import sys

__all__ = ["python_command"]


def python_command(*arguments: str) -> list[str]:
    """Return the command that runs Python with `arguments`, and no code of the caller's.

    ``python -m`` puts the working directory first on the module search path, where a ``random.py`` would
    break everything. If this process has it on its own path, a plugin may be there, so it stays.

    Parameters
    ----------
    *arguments : str
        What follows the interpreter and its switches.

    Returns
    -------
    list of str
        The command, for `subprocess`.

    Examples
    --------
    >>> python_command("-m", "convhub")[-2:]
    ['-m', 'convhub']
    """
    safe = [] if {"", os.getcwd()} & set(sys.path) else ["-P"]
    return [sys.executable, *safe, *arguments]
