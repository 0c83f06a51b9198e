"""Reads each parameter of a call: what was written becomes pairs of plain integers, or is refused.

Values are told apart by type, since ``True == 1 == 1.0`` would otherwise pass, and ``type()`` alone tells the
type: an object may answer `isinstance` as it likes. What an object raises while it is read is the cause of
the error that refuses it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .callers_code import raised_by_caller
from .errors import ArgumentError, ArgumentTypeError, ConvhubError, describe_error, limited, short_repr
from .problem import Pair

__all__ = ["Sides", "group_count", "mask_of_three", "padding_sides", "pair", "symmetric_padding"]

Sides = tuple[Pair, Pair]
T = TypeVar("T")

# Parameters beyond 31 bits have no use, and would overflow the offsets of compiled kernels.
LARGEST = 2**31 - 1

_PAIR = "an integer or a pair of integers"
_PADDING = "an integer, a pair, ((top, bottom), (left, right)), 'same' or 'valid'"


def pair(name: str, value: Any, least: int) -> Pair:
    """Return an integer or a pair of them as a pair, each between `least` and 2**31 - 1."""
    if type(value) is int and least <= value <= LARGEST:
        return (value, value)
    return _read(name, value, lambda: _pair(name, value, least, _PAIR), _PAIR)


def padding_sides(value: Any) -> Sides | str:
    """Return padding as ((top, bottom), (left, right)), or ``"same"``."""
    if type(value) is int and 0 <= value <= LARGEST:
        return ((value, value), (value, value))
    return _read("padding", value, lambda: _padding_sides(value), _PADDING)


def symmetric_padding(value: Any) -> Pair:
    """Return the padding of a transposed convolution, which is the same on both sides."""
    if type(value) is int and 0 <= value <= LARGEST:
        return (value, value)
    return _read("padding", value, lambda: _symmetric_padding(value), _PAIR)


def group_count(value: Any) -> int:
    """Return `groups` as an int of 1 or more."""
    right = "an integer of 1 or more"
    if type(value) is not int:
        value = _read("groups", value, lambda: _integer("groups", value, value, right), right)
    if not 1 <= value <= LARGEST:
        raise ArgumentError(f"groups is {short_repr(value)}; it must be between 1 and {LARGEST}")
    return int(value)


def mask_of_three(value: Any) -> tuple[bool, bool, bool]:
    """Return `output_mask` as three booleans, for input, weight and bias.

    Raises
    ------
    ArgumentTypeError
        If it is not a sequence of three booleans.
    """
    right = "three booleans, for input, weight and bias"
    if type(value) is tuple and len(value) == 3 and all(map(_is_boolean, value)):
        return (bool(value[0]), bool(value[1]), bool(value[2]))
    items = _read("output_mask", value, lambda: tuple(value) if _is_list(value) else (), right)
    if len(items) == 3 and all(map(_is_boolean, items)):
        return (bool(items[0]), bool(items[1]), bool(items[2]))
    raise ArgumentTypeError(f"output_mask is {short_repr(value)}; it must be {right}")


def _read(name: str, value: Any, reader: Callable[[], T], right: str) -> T:
    """Return what a reader makes of a value; one that raises while being read is refused like any other."""
    try:
        return reader()
    except ConvhubError:
        raise
    except Exception as error:
        if raised_by_caller(error):
            raise
        raised = limited(describe_error(error), 200)
        raise ArgumentTypeError(
            f"{name} is {short_repr(value)}, which raised {raised} when it was read; it must be {right}"
        ) from error


def _integer(name: str, value: Any, whole: Any, right: str) -> int:
    """Return `value`, part of the argument `name`, as an int; `whole` is what the caller wrote."""
    if type(value) is int:
        return value
    # A boolean is an int to Python, and a mistake here; floats have no __index__.
    if not _is_boolean(value) and hasattr(type(value), "__index__"):
        try:
            return int(operator.index(value))
        except TypeError:
            pass  # an array of more than one element has __index__ too; the error below says so
    raise ArgumentTypeError(f"{name} is {short_repr(whole)}; it must be {right}")


def _pair(name: str, value: Any, least: int, right: str) -> Pair:
    if _is_list(value):
        items = tuple(value)
        if len(items) not in (1, 2):
            raise ArgumentError(f"{name} is {short_repr(value)}, of length {len(items)}; it must be {right}")
        found = (_integer(name, items[0], value, right), _integer(name, items[-1], value, right))
    else:
        single = _integer(name, value, value, right)
        found = (single, single)
    if not (least <= found[0] <= LARGEST and least <= found[1] <= LARGEST):
        raise ArgumentError(f"{name} is {short_repr(value)}; it must be between {least} and {LARGEST}")
    return found


def _padding_sides(value: Any) -> Sides | str:
    if _is_text(value):
        if value == "valid":
            return ((0, 0), (0, 0))
        if value == "same":
            return "same"
        raise ArgumentError(f"padding is {short_repr(value)}; it must be {_PADDING}")
    if _is_list(value):
        items = tuple(value)
        nested = [_is_list(side) for side in items]
        if len(items) == 2 and all(nested) and all(len(side) == 2 for side in items):
            return (_pair("padding", items[0], 0, _PADDING), _pair("padding", items[1], 0, _PADDING))
        if True in nested or len(items) == 4:
            raise ArgumentError(
                f"padding is {short_repr(value)}; of four sides it must be ((top, bottom), (left, right))"
            )
    vertical, horizontal = _pair("padding", value, 0, _PADDING)
    return ((vertical, vertical), (horizontal, horizontal))


def _symmetric_padding(value: Any) -> Pair:
    sides = _is_list(value) and any(map(_is_list, value))
    if _is_text(value) or sides or (_is_list(value) and len(value) > 2):
        raise ArgumentError(
            f"padding is {short_repr(value)}; for a transposed convolution it must be {_PAIR}"
        )
    return _pair("padding", value, 0, _PAIR)


def _is_boolean(value: Any) -> bool:
    return issubclass(type(value), bool | np.bool_)


def _is_list(value: Any) -> bool:
    return issubclass(type(value), tuple | list)


def _is_text(value: Any) -> bool:
    return issubclass(type(value), str)
