"""Every error that convhub raises on purpose.

::

    ConvhubError
    ├── ArgumentError (ValueError)             an argument has a wrong value
    │   └── ShapeError                         … because the shapes do not fit together
    ├── ArgumentTypeError (TypeError)          an argument has a wrong type
    │   └── DtypeError                         … because of the type of its elements
    ├── MixedArraysError (TypeError)           arrays of two libraries, dtypes or devices in one call
    ├── ConfigurationError (ValueError)        a setting is misspelled or has a wrong value
    └── BackendError (RuntimeError)            something about a backend
        ├── UnknownBackendError (ValueError)   no backend has that name
        │   └── PluginError                    … because the plugin that has it was refused
        ├── BackendUnavailableError            it is known, but cannot run on this machine
        ├── UnsupportedProblemError            it can run, but not this problem
        ├── OutOfMemoryError (MemoryError)     a device has too little memory free for this problem
        ├── BackendFailedError                 it was called, and raised an error
        └── BackendContractError               it ran, and what it returned or declared is wrong

A message names the argument, the value with its shape, and what would be right, in that order.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "BackendContractError",
    "BackendError",
    "BackendFailedError",
    "BackendUnavailableError",
    "ConfigurationError",
    "ConvhubError",
    "DtypeError",
    "MixedArraysError",
    "OutOfMemoryError",
    "PluginError",
    "ShapeError",
    "UnknownBackendError",
    "UnsupportedProblemError",
]


class ConvhubError(Exception):
    """Base of every error that convhub raises on purpose."""


class ArgumentError(ConvhubError, ValueError):
    """An argument has a wrong value."""


class ShapeError(ArgumentError):
    """The shapes of the arguments do not fit together."""


class ArgumentTypeError(ConvhubError, TypeError):
    """An argument has a wrong type."""


class DtypeError(ArgumentTypeError):
    """The elements of an array have a type that cannot be convolved."""


class MixedArraysError(ConvhubError, TypeError):
    """Arrays of two libraries, dtypes or devices met in one call."""


class ConfigurationError(ConvhubError, ValueError):
    """A setting is misspelled or has a wrong value."""


class BackendError(ConvhubError, RuntimeError):
    """Something about a backend went wrong."""


class UnknownBackendError(BackendError, ValueError):
    """No installed backend has the name that was asked for."""


class BackendUnavailableError(BackendError):
    """The backend is known, but cannot run on this machine."""


class UnsupportedProblemError(BackendError):
    """The backend (or every backend) declines this problem; the message says why."""


class OutOfMemoryError(BackendError, MemoryError):
    """A device has too little memory free for this problem; the message says how much each part takes."""


class PluginError(UnknownBackendError):
    """The plugin that would have that backend could not be loaded, or another one claims its name."""


class BackendFailedError(BackendError):
    """A backend raised an error where it was to compute; that error is this one's ``__cause__``."""


class BackendContractError(BackendError):
    """A backend returned or declared something that the contract does not allow."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'numba'?"`` for the known word nearest to `word`, or nothing.

    Parameters
    ----------
    word : str
        What was written.
    known : iterable of str
        What could have been meant.

    Examples
    --------
    >>> did_you_mean("nunba", ["numba", "numpy"])
    " Did you mean 'numba'?"
    """
    near = difflib.get_close_matches(word.lower(), sorted(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def text_of(error: BaseException) -> str:
    """Return the text of a stranger's error, even where that cannot be made."""
    try:
        return str(error)
    # This is called where a fault is being reported, which a second fault must not hide.
    except Exception as another:  # noqa: BLE001
        return f"(its text cannot be shown: {type(another).__name__})"


def said(error: BaseException) -> str:
    """Return what a stranger's error says, its type first.

    Examples
    --------
    >>> said(KeyError("x")), said(MemoryError())
    ("KeyError: 'x'", 'MemoryError')
    """
    text = text_of(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def shown(value: object) -> str:
    """Return a stranger's value as a message may show it: its `repr`, of no more than 60 characters.

    Examples
    --------
    >>> shown(None), len(shown("long" * 100))
    ('None', 60)
    """
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - as above
        text = f"(a {type(value).__name__} that cannot be shown: {type(error).__name__})"
    return text if len(text) <= 60 else text[:57] + "..."
