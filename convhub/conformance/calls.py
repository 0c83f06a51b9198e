"""Calls a backend as users do, by name, so that no other can answer instead."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arrays import numpy_lacks, to_numpy
from ..config import current
from ..dispatch.candidates import verdicts
from ..dispatch.dispatcher import current_dispatcher
from ..dispatch.execute import execute
from ..dispatch.request import BackendRequest
from ..errors import ConfigurationError, UnknownBackendError
from ..plugins import RegisteredBackend
from ..problem import Problem
from ..reference.oracle import Array, Operands
from .trial import CheckFailure, Trial

__all__ = [
    "caller_library",
    "compute",
    "deliver",
    "refuse_fallback",
    "refused",
    "registered",
    "settings",
    "with_more_images",
]


def registered(name: str) -> RegisteredBackend:
    """Return the backend of that name, with its origin.

    Raises
    ------
    UnknownBackendError
        If there is none.
    """
    backends = current_dispatcher().registry.backends
    if name not in backends:
        raise UnknownBackendError(
            f"backend is {name!r}; registered backends: {', '.join(backends) or 'none'}"
        )
    return backends[name]


def refused(backend: str, problem: Problem) -> str | None:
    """Return why `backend` does not run `problem`, by its own declaration, or None.

    Operands and expected results are NumPy's, so dtypes that NumPy does not have are tried on no backend.
    """
    registered(backend)
    reason = next(
        verdict.reason for verdict in verdicts(problem, current_dispatcher()) if verdict.name == backend
    )
    return numpy_lacks(problem.dtype) if reason is None else reason


def with_more_images(trial: Trial, images: int) -> Trial | None:
    """Return the trial with a problem that no other check has computed; None if the backend declines it.

    What a backend keeps for a problem, it makes at its first call.
    """
    other = trial.problem.replace(batch=trial.problem.batch + images)
    return None if refused(trial.backend, other) is not None else trial._replace(problem=other)


def refuse_fallback() -> None:
    """Raise `ConfigurationError` if another backend might answer instead of the one under test."""
    config = current()
    if config.settings.fallback:
        raise ConfigurationError(
            f"fallback is true (from {config.sources['fallback']}); it must be false where a backend is "
            "verified, or another could answer in its place"
        )


@contextlib.contextmanager
def settings(**values: object) -> Iterator[None]:
    """Set ``CONVHUB_*`` variables for a block; None removes one. They hold for the whole process."""
    names = {f"CONVHUB_{key.upper()}": value for key, value in values.items()}
    before = {name: os.environ.get(name) for name in names}
    try:
        _set_environment(names)
        yield
    finally:
        _set_environment(before)


def _set_environment(values: dict[str, Any]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = str(value)


def compute(trial: Trial, operands: Operands, problem: Problem | None = None) -> Array:
    """Return the result of the trial's backend for NumPy operands, as a NumPy array.

    Parameters
    ----------
    problem : Problem, optional
        By default the trial's.
    """
    problem = problem or trial.problem
    library = caller_library(trial)
    given = tuple(None if o is None else deliver(o, library) for o in operands)
    if problem.primitive == "grad_weight":
        given = given[:2]
    # Infinities and overflow are part of the checks; NumPy's warnings about them would only reach the caller.
    with np.errstate(all="ignore"):
        result = to_numpy(execute(problem, given, BackendRequest(trial.backend, "argument"), library))
    if library != "numpy":  # only this function knows the arrays delivered
        for name, before, after in zip(operands._fields, operands, given, strict=False):
            if before is not None and to_numpy(after).tobytes() != before.tobytes():
                raise CheckFailure(trial, f"the operand {name!r} was changed by the call")
    return result


def caller_library(trial: Trial) -> str:
    """Return the library whose arrays callers use on the device of the trial's problem."""
    if trial.problem.device == "cpu":
        return "numpy"
    wants = registered(trial.backend).backend.capabilities.arrays
    return "cupy" if wants == "numpy" else wants


def deliver(array: Array, library: str) -> Any:
    """Return a NumPy array as one of `library` on that library's device, with equal strides if possible."""
    if library == "numpy":
        return array
    if library == "torch":
        return tensor(array, "cuda")
    cupy = importlib.import_module("cupy")
    values = cupy.asarray(np.array(array, order="C"))
    # From the first byte to the last, strides of either sign.
    reach = [step * (size - 1) for step, size in zip(array.strides, array.shape, strict=True)]
    if not array.size or any(step % array.itemsize for step in array.strides):
        return values
    before = -sum(step for step in reach if step < 0)
    memory = cupy.empty(before + sum(step for step in reach if step > 0) + array.itemsize, cupy.uint8)
    view = cupy.ndarray(array.shape, values.dtype, memory.data + before, array.strides)
    view[...] = values
    return view


def tensor(array: Array, device: str = "cpu") -> Any:
    """Return a new torch tensor, with the same strides if these are positive."""
    torch = importlib.import_module("torch")
    plain = np.array(array, order="C")
    if plain.dtype.name == "bfloat16":
        values = torch.from_numpy(plain.view(np.int16)).view(torch.bfloat16).to(device)
    else:
        values = torch.from_numpy(plain).to(device)
    if not array.size or any(step <= 0 or step % array.itemsize for step in array.strides):
        return values
    strides = [step // array.itemsize for step in array.strides]
    return torch.empty_strided(array.shape, strides, dtype=values.dtype, device=device).copy_(values)
