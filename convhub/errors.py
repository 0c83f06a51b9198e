"""Defines every error that convhub raises on purpose.

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
        ├── OutOfMemoryError (MemoryError)     there is too little memory free for this problem
        ├── BackendFailedError                 it was called, and raised an error
        └── BackendContractError               it ran, and what it returned or declared is wrong

A message names the argument, the value with its shape, and what would be right, in that order.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable
from typing import Any

from .callers_code import raised_by_caller

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


#: The most characters that a message quotes of a refused value, and of a plugin's text.
VALUE_LIMIT = 60
TEXT_LIMIT = 1000


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
    """No installed backend has the requested name."""


class BackendUnavailableError(BackendError):
    """The backend is known, but cannot run on this machine."""


class UnsupportedProblemError(BackendError):
    """The backend (or every backend) declines this problem; the message says why."""


class OutOfMemoryError(BackendError, MemoryError):
    """There is too little free memory for this problem, on a device or, as torch reports it, on the host."""


class PluginError(UnknownBackendError):
    """The plugin that would provide the backend could not be loaded, or another one claims its name."""


class BackendFailedError(BackendError):
    """A backend raised an error when it was called; that error is this one's ``__cause__``."""


class BackendContractError(BackendError):
    """A backend returned or declared something that the contract does not allow."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'numba'?"`` for the known word nearest to `word`, or an empty text.

    The nearest word is the one with the fewest slips (`slips`); one word that begins with the other counts as
    one slip. If several are equally near, up to three are named.

    Parameters
    ----------
    word : str
        The word that is not known.
    known : iterable of str
        The right words.

    Examples
    --------
    >>> did_you_mean("nunba", ["numba", "numpy"])
    " Did you mean 'numba'?"
    >>> did_you_mean("grad", ["forward", "grad_input", "grad_weight"])
    " Did you mean 'grad_input' or 'grad_weight'?"
    """
    plain = word.strip().lower().replace("-", "_")
    if not 2 <= len(plain) <= 60:
        return ""
    near: dict[str, int] = {}
    for candidate in known:
        other = candidate.lower().replace("-", "_")
        count = slips(plain, other)
        if min(len(plain), len(other)) >= 3 and (plain.startswith(other) or other.startswith(plain)):
            count = min(count, 1)
        if count <= (max(len(plain), len(other)) + 1) // 3:
            near[candidate] = count
    if not near:
        return ""
    best = [candidate for candidate, count in near.items() if count == min(near.values())]
    best = sorted(best, key=lambda candidate: (len(candidate), candidate))[:3]
    names = ", ".join(map(repr, best[:-1])) + " or " * (len(best) > 1) + repr(best[-1])
    return f" Did you mean {names}?"


def slips(one: str, other: str) -> int:
    """Return how many letters must be added, removed, changed or swapped with the next one.

    This is the optimal string alignment distance, which counts a swap as one slip, while the Levenshtein
    distance counts two.

    Examples
    --------
    >>> slips("grad_inptu", "grad_input"), slips("float33", "float64")
    (1, 2)
    """
    before: list[int] = []
    row: list[int] = [*range(len(other) + 1)]
    for i, letter in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, wanted in enumerate(other, 1):
            count = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                count = min(count, last[j - 2] + 1)
            row.append(count)
    return row[-1]


_name_of_type: Any = type.__dict__["__name__"].__get__


def kind_of(value: object) -> str:
    """Return the name of a value's type, even where a metaclass or ``__class__`` would prevent it.

    Examples
    --------
    >>> kind_of(3)
    'int'
    """
    return _cut(_name_of_type(type(value)), VALUE_LIMIT)


def safe_str(error: BaseException) -> str:
    """Return the text of a plugin's error, or a note if `str` fails; of a long text the beginning."""
    try:
        return limited(str(error))
    # This is called while a fault is reported, which a second fault must not hide.
    except BaseException as another:
        if raised_by_caller(another):
            raise
        return f"(its text cannot be shown: {kind_of(another)})"


def describe_error(error: BaseException) -> str:
    """Return the type and the text of a plugin's error.

    Examples
    --------
    >>> describe_error(KeyError("x")), describe_error(MemoryError())
    ("KeyError: 'x'", 'MemoryError')
    """
    text = safe_str(error)
    return f"{kind_of(error)}: {text}" if text else kind_of(error)


def limited(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return a plugin's text as a plain `str`; of a long text the beginning and the length.

    Examples
    --------
    >>> limited("no " * 1000, 8)
    'no no no... (3000 characters)'
    """
    plain = str.__str__(text)  # a subclass may have methods that raise
    return plain if len(plain) <= limit else f"{plain[:limit]}... ({len(plain)} characters)"


def one_line(text: str, limit: int = TEXT_LIMIT) -> str:
    r"""Return the same as `limited`, on one line.

    Examples
    --------
    >>> one_line("needs a driver,\nwhich is missing\n")
    'needs a driver, which is missing'
    """
    return limited(" ".join(filter(None, map(str.strip, str.__str__(text).splitlines()))), limit)


def short_repr(value: object, limit: int = VALUE_LIMIT) -> str:
    """Return the `repr` of any value for a message, in at most `limit` characters.

    It also works for lists that contain themselves, integers with more digits than Python prints, and objects
    whose `repr` raises.

    Examples
    --------
    >>> short_repr(None), len(short_repr("long" * 100)), short_repr((1, 10**5000))
    ('None', 60, '(1, an integer of about 5001 digits)')
    """
    try:
        text = _Short(limit).repr(value)
    except BaseException as error:
        if raised_by_caller(error):
            raise
        text = _not_shown(value, error)
    return _cut(text, limit)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _not_shown(value: object, error: BaseException) -> str:
    return f"(a {kind_of(value)} that cannot be shown: {kind_of(error)})"


class _Short(reprlib.Repr):
    """Makes a `repr` of only the first elements of long or deep values."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.maxlevel = 4
        self.maxtuple = self.maxlist = self.maxdict = self.maxset = self.maxfrozenset = 8

    def repr_int(self, value: int, level: int) -> str:
        """Return the digits, or their number, since Python refuses to print more than 4,300."""
        digits = int(value.bit_length() * math.log10(2)) + 1
        return repr(value) if digits <= self.limit else f"an integer of about {digits} digits"

    def repr_str(self, value: str, level: int) -> str:
        """Return a text in quotes, cut to the limit."""
        return repr(value[: self.limit + 1])

    def repr_bytes(self, value: bytes, level: int) -> str:
        """Return bytes as a literal, cut to the limit."""
        return repr(value[: self.limit + 1])

    def repr_instance(self, value: object, level: int) -> str:
        """Return the `repr` of an object on one line."""
        try:
            return " ".join(repr(value).split())
        except BaseException as error:
            if raised_by_caller(error):
                raise
            return _not_shown(value, error)
