"""Calls the chosen backend on a caller's arrays, and refuses a result that breaks the contract."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType

import numpy as np

from .. import arrays
from ..arrays import Array, cuda_exchange
from ..callers_code import raised_by_caller
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    BackendContractError,
    BackendFailedError,
    ConvhubError,
    describe_error,
    kind_of,
    short_repr,
)
from ..problem import Problem
from ..system.float_mode import LEAST, LITTLE, NEXT, ONE, set_usual
from ..system.out_of_memory import as_memory_error
from .choice import Choice

__all__ = ["Operands", "invoke", "shares_memory"]

#: Operands of a primitive, in the order in which backends take them; the bias may be None.
Operands = tuple[Array, ...]


@functools.cache
def _torch_modes() -> ModuleType:
    """Return the module that shields a backend from a caller's torch modes; imports torch."""
    from . import torch_modes

    return torch_modes


def invoke(choice: Choice, problem: Problem, operands: Operands, library: str) -> Array:
    """Call the chosen backend, and check what it returns before handing it on.

    Raises
    ------
    BackendFailedError
        If the backend raises an error, which becomes the cause of this one. An error that `_comes_through`
        lets pass keeps its type, and gets a note that names the backend. An error of the caller's own code
        that runs meanwhile, such as a signal handler, passes unchanged.
    BackendContractError
        If the result has a wrong library, shape, dtype or device, is not contiguous, or shares memory with
        an operand.
    """
    wants = choice.arrays
    convert = arrays.converter(library, wants)
    if library == "numpy":
        operands = _plain(operands)
    if convert is None:
        result = _invoke_raw(choice, problem, operands)
        _check(result, choice, problem, operands)
        return result
    if problem.device == "cuda" and {library, wants} == {"torch", "cupy"}:
        with cuda_exchange.one_stream(library, operands[0]):
            return _invoke_converted(choice, problem, operands, library, convert)
    return _invoke_converted(choice, problem, operands, library, convert)


def _invoke_raw(choice: Choice, problem: Problem, operands: Operands) -> Array:
    """Return what the backend returns, unchecked."""
    try:
        function, arguments = choice.function, (*operands, problem, choice.options)
        if choice.arrays == "torch":
            function, arguments = _torch_modes().call, (function, *arguments)
        # This is `float_mode.is_usual` inlined: calling a function would take twice as long.
        if NEXT - LEAST and ONE + LITTLE == ONE - LITTLE:
            return function(*arguments)
        return set_usual(function, *arguments)
    except Exception as error:
        if raised_by_caller(error):
            raise
        if _comes_through(error):
            _note(error, f"raised by {choice.registered} at {problem}")
            raise
        lacking = as_memory_error(error, f"{choice.registered} failed at {problem}")
        if lacking is not None:
            raise lacking from error
        raise BackendFailedError(
            f"{choice.registered} failed at {problem}: {describe_error(error)}"
        ) from error


def _invoke_converted(
    choice: Choice, problem: Problem, operands: Operands, library: str, convert: Callable[[Array], Array]
) -> Array:
    try:
        if choice.arrays == "torch":
            given = _torch_modes().call(_converted, operands, convert)
        else:
            given = _converted(operands, convert)
    except RuntimeError as error:  # torch computes a lazy conjugate only now
        lacking = as_memory_error(error, f"operands of {problem} could not be converted")
        if lacking is None:
            raise
        raise lacking from error
    result = _invoke_raw(choice, problem, given)
    _check(result, choice, problem, given)
    back = arrays.converter(choice.arrays, library)
    if back is not None and library == "numpy":  # a torch mode would see even this as the caller's
        return _torch_modes().call(back, result)
    return result if back is None else back(result)


def _converted(operands: Operands, convert: Callable[[Array], Array]) -> Operands:
    return tuple([None if operand is None else convert(operand) for operand in operands])


def _comes_through(error: Exception) -> bool:
    """Return whether a backend's error keeps its type, since callers may catch that type.

    These are convhub's own errors, errors that memory has run out, and those that the caller requested by
    `numpy.errstate` or `warnings`.
    """
    return isinstance(error, ConvhubError | MemoryError | FloatingPointError | Warning)


def _note(error: Exception, text: str) -> None:
    if text not in getattr(error, "__notes__", ()):  # Some backends raise the same object again.
        error.add_note(text)


def _plain(operands: Operands) -> Operands:
    """Return NumPy arrays as plain ndarrays, since subclasses may give operators other meanings."""
    for operand in operands:
        if operand is not None and type(operand) is not np.ndarray:
            return tuple(None if o is None else np.asarray(o) for o in operands)
    return operands


def _check(result: Array, choice: Choice, problem: Problem, operands: Operands) -> None:
    """Refuse a result that breaks the contract; a right one passes in a microsecond."""
    if (
        type(result) is np.ndarray
        and result.shape == choice.result_shape
        and result.dtype == operands[0].dtype
        and choice.arrays == "numpy"
    ):
        flags = result.flags
        if flags.c_contiguous and flags.writeable and not _may_be_shared(result, flags.owndata, operands):
            return
    _check_slowly(result, choice, problem, operands)


def _may_be_shared(result: np.ndarray, owner: bool, operands: Operands) -> bool:
    for operand in operands:
        if operand is None:
            continue
        # Two arrays that each own their memory share none: this is faster than comparing addresses.
        if owner and result is not operand and operand.flags.owndata:
            continue
        if np.may_share_memory(result, operand):
            return True
    return False


def _check_slowly(result: Array, choice: Choice, problem: Problem, operands: Operands) -> None:
    try:
        _check_every_aspect(result, choice, problem, operands)
    except ConvhubError:
        raise
    # The result may be any object, and reading it may run the plugin's code.
    except Exception as error:
        if raised_by_caller(error):
            raise
        raise BackendContractError(
            f"{choice.registered} ran {problem} and returned {short_repr(result)} of type {kind_of(result)}, "
            f"which raised {describe_error(error)} when it was read"
        ) from error


def _check_every_aspect(result: Array, choice: Choice, problem: Problem, operands: Operands) -> None:
    wants = choice.arrays
    try:
        found = arrays.array_info("result", result)
    except (ArgumentError, ArgumentTypeError) as error:
        detail = f": {error}" if issubclass(type(result), np.ndarray) or wants != "numpy" else ""
        raise BackendContractError(
            f"{choice.registered} ran {problem} and returned {arrays.describe(result)}; "
            f"it must be an array of {wants}{detail}"
        ) from error
    given = next(arrays.array_info("operand", operand) for operand in operands if operand is not None)
    wrong = _wrong_info(found, given, problem, wants) or _wrong_memory(result, operands, wants)
    if wrong is not None:  # formats the problem only now, since that takes longer than a small convolution
        returned, right = wrong
        raise BackendContractError(
            f"{choice.registered} ran {problem} and returned {returned}; it must be {right}"
        )


def _wrong_info(
    found: arrays.ArrayInfo, given: arrays.ArrayInfo, problem: Problem, wants: str
) -> tuple[str, str] | None:
    """Return what a result is and what it must be if these differ, or None."""
    for aspect, is_, must_be in (
        ("library", found.library, wants),
        ("shape", found.shape, problem.result_shape),
        ("dtype", found.dtype, problem.dtype),
        ("device", found.device, given.device),
    ):
        if is_ != must_be:
            return f"an array of {aspect} {is_}", str(must_be)
    return None


def _wrong_memory(result: Array, operands: Operands, wants: str) -> tuple[str, str] | None:
    """Return how a result lies in memory and how it must if these differ, or None."""
    odd = _odd_memory(result, wants)
    if odd is not None:
        return odd, "a new array, contiguous and writable"
    for operand in operands:
        if operand is not None and shares_memory(result, operand, wants):
            return "memory of one of its operands", "a new array"
    return None


def _odd_memory(result: Array, library: str) -> str | None:
    """Return what a result is if it does not lie plainly in memory, or None."""
    if library == "torch":
        if result.requires_grad:
            return "a tensor that requires a gradient"
        if result.is_conj() or result.is_neg():
            return "a tensor that is lazily conjugated or negated"
        return None if result.is_contiguous() else "a view"
    if not result.flags.c_contiguous:
        return "a view"
    if library == "numpy" and type(result) is not np.ndarray:
        return f"a {kind_of(result)}, a subclass of numpy.ndarray"
    return "read-only memory" if library == "numpy" and not result.flags.writeable else None


def shares_memory(one: Array, other: Array, library: str) -> bool:
    """Return whether two arrays of `library` share memory, or may, as far as a quick test can tell."""
    if library == "numpy":
        return bool(np.may_share_memory(one, other))
    if library == "torch":
        return bool(
            one.numel() > 0 and one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
        )
    return bool(one.size > 0 and one.data.mem.ptr == other.data.mem.ptr)
