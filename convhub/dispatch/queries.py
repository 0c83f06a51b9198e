"""Calls the functions by which a backend describes itself, even if they raise, answer nonsense or never end.

An answer that breaks the contract counts as a reason against the backend, and is marked as a fault: a missing
GPU is no fault, but an `availability` that raises is.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar, get_args

from ..backend import Accuracy, Answer, HelperProfile, KernelProfile, RunOptions, always
from ..callers_code import raised_by_caller
from ..errors import (
    BackendContractError,
    BackendFailedError,
    ConvhubError,
    describe_error,
    one_line,
    short_repr,
)
from ..plugins import RegisteredBackend
from ..problem import Problem

__all__ = ["Refusal", "accuracy_of", "algorithm_of", "ask", "ask_availability", "compiled_by", "profiled_by"]

Result = TypeVar("Result")

#: How long a backend may take to say whether it is available. CUDA takes seconds to start for each device
#: where nothing keeps its driver awake, and so do large libraries from a cold network disk; anything slower
#: is assumed to hang. Each backend is asked at most once in a process.
AVAILABILITY_SECONDS = 30.0

#: The functions that did not answer in time, which are not called again. They are compared by identity:
#: a plugin's object may be equal to anything.
_silent: list[Callable[[], Answer]] = []

_being_asked: contextvars.ContextVar[tuple[int, ...]] = contextvars.ContextVar("convhub_asked", default=())


class Refusal(NamedTuple):
    """Why a backend does not run something; where it is a `fault`, the backend breaks the contract."""

    reason: str
    fault: bool = False


def ask(question: str, function: Callable[[], Answer]) -> Refusal | None:
    """Return a backend's answer to a question: None for True, or a reason."""
    try:
        answer = function()
    # This is a plugin's code: the error that it raises is its answer, and is shown like any reason.
    except BaseException as error:
        if raised_by_caller(error):
            raise
        return Refusal(f"its {question} raised {describe_error(error)}", fault=True)
    if answer is True:
        return None
    if issubclass(type(answer), str) and one_line(answer):
        return Refusal(one_line(answer))
    return Refusal(
        f"its {question} returned {short_repr(answer)}; it must return True or a reason", fault=True
    )


def ask_availability(function: Callable[[], Answer]) -> Refusal | None:
    """Return the answer of a backend's `availability`, or that it does not answer.

    It runs in a separate thread, which is abandoned if it does not end, since nothing can stop it. The thread
    has the caller's context, so that `convhub.use_backend` and `numpy.errstate` hold there too.
    """
    if function is always:
        return None
    if any(function is silent for silent in _silent):
        return _no_answer()
    asked = (*_being_asked.get(), id(function))
    if len(set(asked)) < len(asked):  # each would wait for the next one forever
        return Refusal("its availability asks convhub whether it is available", fault=True)
    answers: list[Refusal | None] = []

    def answer() -> None:
        _being_asked.set(asked)
        try:
            answers.append(ask("availability", function))
        except BaseException as error:  # even SystemExit ends this thread only
            if raised_by_caller(error):
                raise
            answers.append(Refusal(f"its availability raised {describe_error(error)}", fault=True))

    run = contextvars.copy_context().run
    thread = threading.Thread(target=run, args=(answer,), name="convhub asks for availability", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no thread can start while the interpreter exits
        run(answer)
    else:
        thread.join(AVAILABILITY_SECONDS)
    if not answers:
        _silent.append(function)
        return _no_answer()
    return answers[0]


def _no_answer() -> Refusal:
    return Refusal(f"its availability did not answer within {AVAILABILITY_SECONDS:g} s", fault=True)


def algorithm_of(registered: RegisteredBackend, problem: Problem, options: RunOptions) -> str:
    """Return the name of the algorithm that would run; empty where the backend names none.

    Raises
    ------
    BackendContractError
        If it fails, or returns anything but a text.
    """
    function = registered.backend.algorithm
    if function is None:
        return ""
    try:
        name = function(problem, options)
    except BaseException as error:
        if raised_by_caller(error):
            raise
        raise BackendContractError(
            f"{registered} could not name its algorithm for {problem}: {describe_error(error)}"
        ) from error
    if not issubclass(type(name), str):
        raise BackendContractError(
            f"{registered} returned the algorithm {short_repr(name)} for {problem}; it must be a string"
        )
    return one_line(name, 200)


def accuracy_of(registered: RegisteredBackend, problem: Problem, options: RunOptions) -> Accuracy:
    """Return the accuracy class of the algorithm that would run.

    Raises
    ------
    BackendContractError
        If the backend fails, or returns anything but a class.
    """
    try:
        accuracy = registered.backend.accuracy_of(problem, options)
    except BaseException as error:
        if raised_by_caller(error):
            raise
        raise BackendContractError(
            f"{registered} could not name its accuracy class for {problem}: {describe_error(error)}"
        ) from error
    if type(accuracy) is not str or accuracy not in get_args(Accuracy):
        raise BackendContractError(
            f"{registered} returned the accuracy class {short_repr(accuracy)} for {problem}; it must be "
            f"one of {', '.join(get_args(Accuracy))}"
        )
    return accuracy


def compiled_by(registered: RegisteredBackend, problem: Problem, options: RunOptions) -> int | None:
    """Have a backend compile what calls of `problem` need; return how many kernels it compiled.

    Returns
    -------
    int or None
        None where the backend compiles nothing ahead.

    Raises
    ------
    BackendFailedError
        If the backend fails, unless it raises an error of convhub's.
    BackendContractError
        If it returns anything but a number, zero or more.
    """
    function = registered.backend.compile
    if function is None:
        return None
    count = _compiling(registered, function, problem, options)
    if type(count) is not int or count < 0:
        raise BackendContractError(
            f"{registered} compiled {problem} and gave {short_repr(count)}; it must be the number of kernels"
        )
    return count


def profiled_by(
    registered: RegisteredBackend, problem: Problem, options: RunOptions
) -> tuple[KernelProfile, ...] | None:
    """Have a backend compile what calls of `problem` need, and measure it.

    Returns
    -------
    tuple of KernelProfile or None
        None where the backend does not measure its compiling.

    Raises
    ------
    BackendFailedError
        If the backend fails, unless it raises an error of convhub's.
    BackendContractError
        If it returns anything but `KernelProfile`s of the declared types.
    """
    function = registered.backend.compile_profile
    if function is None:
        return None
    kernels = _compiling(registered, lambda *given: tuple(function(*given)), problem, options)
    for kernel in kernels:
        if not _is_profile(kernel):
            raise BackendContractError(
                f"{registered} compiled {problem} and gave {short_repr(kernel)}; it must be a "
                "convhub.backend.KernelProfile of the declared types"
            )
    return kernels


def _compiling(
    registered: RegisteredBackend,
    function: Callable[[Problem, RunOptions], Result],
    problem: Problem,
    options: RunOptions,
) -> Result:
    """Return what a function of a backend that compiles returns; its error names the backend."""
    try:
        return function(problem, options)
    except BaseException as error:
        if raised_by_caller(error) or isinstance(error, ConvhubError):
            raise
        raise BackendFailedError(
            f"{registered} could not compile {problem}: {describe_error(error)}"
        ) from error


def _is_profile(kernel: object) -> bool:
    if not isinstance(kernel, KernelProfile) or type(kernel.helpers) is not tuple:
        return False
    measured = (kernel.phases, kernel.sizes)
    return (
        type(kernel.name) is str
        and _is_number(kernel.seconds)
        and all(isinstance(each, Mapping) for each in measured)
        and all(type(name) is str and _is_number(value) for each in measured for name, value in each.items())
        and all(map(_is_helper, kernel.helpers))
    )


def _is_helper(helper: object) -> bool:
    if not isinstance(helper, HelperProfile):
        return False
    counts = (helper.compiled, 0 if helper.linked is None else helper.linked)
    right = type(helper.name) is str and _is_number(helper.seconds)
    return right and all(type(count) is int for count in counts)


def _is_number(value: object) -> bool:
    return type(value) in (int, float)
