"""Run one primitive on arrays of any library: choose, convert, call, distrust, hand back."""

from __future__ import annotations

import functools
import logging
import time
from types import ModuleType
from typing import NamedTuple

import numpy as np

from . import arrays, dispatch
from .arrays import Array
from .dispatch import Choice, Request
from .errors import BackendContractError
from .problem import Problem

__all__ = ["CallEvent", "execute", "run"]

logger = logging.getLogger("convhub")

#: Operands of a primitive, in the order in which backends take them; the bias may be None.
Operands = tuple[Array, ...]


class CallEvent(NamedTuple):
    """One primitive that has run; `milliseconds` are the caller's, work queued on a GPU not awaited."""

    problem: Problem
    backend: str
    algorithm: str
    milliseconds: float
    source: str


def run(problem: Problem, operands: Operands, wanted: Request, library: str) -> Array:
    """Return the result of one primitive, recorded for autograd where a torch operand requires it."""
    if library == "torch":
        return _autograd().run(problem, operands, wanted)
    return execute(problem, operands, wanted, library)


@functools.cache
def _autograd() -> ModuleType:
    """Return what imports torch: an import statement takes its time at each call."""
    from .torch import autograd

    return autograd


def execute(problem: Problem, operands: Operands, wanted: Request, library: str) -> Array:
    """Return the result of one primitive, computed by the backend that is chosen for it."""
    choice = dispatch.choose(problem, wanted)
    if not (choice.verbose or choice.observers):
        return call(choice, problem, operands, library)
    start = time.perf_counter()
    result = call(choice, problem, operands, library)
    milliseconds = (time.perf_counter() - start) * 1e3
    event = CallEvent(problem, choice.backend.name, choice.algorithm, milliseconds, choice.source)
    if choice.verbose:
        _log(event)
    for observer in choice.observers:
        try:
            observer(event=event)
        # The result is there and right; a watcher that fails must not take it away, nor fail in silence.
        except Exception:
            logger.exception("convhub: an observer failed at %s", event.problem)
    return result


def call(choice: Choice, problem: Problem, operands: Operands, library: str) -> Array:
    """Call the chosen backend, and check what it returns before handing it on.

    Raises
    ------
    BackendContractError
        If the result has a wrong library, shape, dtype or device, is not contiguous, or shares memory with
        an operand.
    """
    wants = choice.backend.capabilities.arrays
    convert = arrays.converter(library, wants)
    if library == "numpy":
        operands = _plain(operands)
    if convert is None:
        result = choice.function(*operands, problem, choice.options)
        _check(result, choice, problem, operands)
        return result
    given = tuple([None if operand is None else convert(operand) for operand in operands])
    result = choice.function(*given, problem, choice.options)
    _check(result, choice, problem, given)
    back = arrays.converter(wants, library)
    return result if back is None else back(result)


def _plain(operands: Operands) -> Operands:
    """Return arrays of NumPy without subclasses, which may give operators other meanings."""
    for operand in operands:
        if operand is not None and type(operand) is not np.ndarray:
            return tuple(None if o is None else np.asarray(o) for o in operands)
    return operands


def _check(result: Array, choice: Choice, problem: Problem, operands: Operands) -> None:
    """Refuse a result that is not as the contract says; what is right is seen in a microsecond."""
    if (
        type(result) is np.ndarray
        and result.shape == choice.result_shape
        and result.dtype == operands[0].dtype
        and choice.backend.capabilities.arrays == "numpy"
    ):
        flags = result.flags
        if flags.c_contiguous and flags.writeable and not _may_be_shared(result, flags.owndata, operands):
            return
    _check_slowly(result, choice, problem, operands)


def _may_be_shared(result: np.ndarray, owner: bool, operands: Operands) -> bool:
    for operand in operands:
        if operand is None:
            continue
        # Two arrays that each own their memory share none: seen sooner than by comparing addresses.
        if owner and result is not operand and operand.flags.owndata:
            continue
        if np.may_share_memory(result, operand):
            return True
    return False


def _check_slowly(result: Array, choice: Choice, problem: Problem, operands: Operands) -> None:
    where = f"backend {choice.backend.name!r} ({choice.origin}) ran {problem} and returned "
    wants = choice.backend.capabilities.arrays
    try:
        found = arrays.facts("result", result)
    except TypeError as error:
        raise BackendContractError(
            f"{where}{arrays.describe(result)}; it must be an array of {wants}"
        ) from error
    given = next(arrays.facts("operand", operand) for operand in operands if operand is not None)
    for aspect, is_, must_be in (
        ("library", found.library, wants),
        ("shape", found.shape, problem.result_shape),
        ("dtype", found.dtype, problem.dtype),
        ("device", found.device, given.device),
    ):
        if is_ != must_be:
            raise BackendContractError(f"{where}an array of {aspect} {is_}; it must be {must_be}")
    contiguous = result.is_contiguous() if wants == "torch" else result.flags.c_contiguous
    if not contiguous or (wants == "numpy" and not result.flags.writeable):
        raise BackendContractError(f"{where}a view; it must be a new array, contiguous and writable")
    for operand in operands:
        if operand is not None and _shares_memory(result, operand, wants):
            raise BackendContractError(f"{where}memory of one of its operands; it must be a new array")


def _shares_memory(result: Array, operand: Array, library: str) -> bool:
    if library == "numpy":
        return bool(np.may_share_memory(result, operand))
    if library == "torch":
        return bool(
            result.numel() > 0 and result.untyped_storage().data_ptr() == operand.untyped_storage().data_ptr()
        )
    return bool(result.size > 0 and result.data.mem.ptr == operand.data.mem.ptr)


def _log(event: CallEvent) -> None:
    if not logger.hasHandlers():
        # Whoever sets CONVHUB_VERBOSE without configuring logging wants to see the lines.
        logger.addHandler(logging.StreamHandler())
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    algorithm = f" ({event.algorithm})" if event.algorithm else ""
    logger.info(
        "convhub: %s -> %s%s, %.3f ms, by %s",
        event.problem,
        event.backend,
        algorithm,
        event.milliseconds,
        event.source,
    )
