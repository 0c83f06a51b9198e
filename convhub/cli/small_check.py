"""Checks that a backend computes a small problem of integers exactly.

This detects a broken installation in a moment; ``convhub verify`` checks far more.
"""

from __future__ import annotations

import itertools
from typing import Literal, NamedTuple

import numpy as np

from ..callers_code import raised_by_caller
from ..conformance.calls import caller_library, compute, deliver
from ..conformance.trial import Trial
from ..dispatch.candidates import judge
from ..dispatch.dispatcher import Dispatcher
from ..plugins import RegisteredBackend
from ..problem import Primitive, Problem
from ..reference.operands import operands
from ..reference.oracle import exact

__all__ = ["Check", "check_backend"]


class Check(NamedTuple):
    """The outcome of one small problem, with the reason unless the result was right.

    It is also "wrong" if the backend raises an exception, or answers a query in breach of the contract.
    """

    problem: Problem
    outcome: Literal["right", "wrong", "not run"]
    detail: str


def check_backend(registered: RegisteredBackend, dispatcher: Dispatcher) -> list[Check]:
    """Run a small problem of each primitive and device that a backend offers.

    Returns
    -------
    list of Check
        Empty if the backend supports none of them.
    """
    capabilities = registered.backend.capabilities
    checks = []
    for device, primitive in itertools.product(capabilities.devices, registered.backend.primitives):
        for problem in _small_problems(registered, primitive, device):
            refusal = judge(registered, problem, dispatcher)
            if refusal is None:
                checks.append(_check(Trial(registered.backend.name, problem)))
                break
            if refusal.fault:
                checks.append(Check(problem, "wrong", refusal.reason))
                break
    return checks


def _small_problems(registered: RegisteredBackend, primitive: Primitive, device: str) -> list[Problem]:
    """Return a problem with all parameters that the backend takes, and plain ones with common kernels."""
    takes = registered.backend.capabilities
    dtypes = takes.dtypes_of(primitive)
    if not dtypes:
        return []
    dtype = next((name for name in ("float32", "float64") if name in dtypes), dtypes[0])
    plain = Problem(primitive, 2, 4, 2, (5, 6), (3, 2), dtype=dtype, device=device)
    padding = ((1, 0), (0, 2)) if takes.asymmetric_padding else ((1, 1), (0, 0))
    rich = plain.replace(
        stride=(2, 1) if takes.stride else (1, 1),
        padding=padding if takes.padding else ((0, 0), (0, 0)),
        dilation=(1, 2) if takes.dilation else (1, 1),
        groups=2 if takes.groups else 1,
        output_size=(0, 0),
    )
    usual = [plain.replace(kernel_size=kernel, output_size=(0, 0)) for kernel in ((3, 3), (1, 1))]
    return [rich, plain, *usual]


def _check(trial: Trial) -> Check:
    nowhere = _missing_device(trial)
    if nowhere is not None:
        return Check(trial.problem, "not run", nowhere)
    given = operands(trial.problem, seed=0, kind="exact")
    try:
        result = compute(trial, given)
    # Any exception of the plugin's code, or of a driver, is the finding.
    except Exception as error:
        if raised_by_caller(error):
            raise
        return Check(trial.problem, "wrong", f"raised {type(error).__name__}: {error}")
    expected = exact(trial.problem, given).value
    differing = np.argwhere(result != expected)
    if not len(differing):
        return Check(trial.problem, "right", "")
    index = tuple(int(i) for i in differing[0])
    return Check(
        trial.problem,
        "wrong",
        f"{len(differing)} of {expected.size} elements are wrong; at {index} it computed {result[index]}, "
        f"and {expected[index]} is right",
    )


def _missing_device(trial: Trial) -> str | None:
    """Return why no array can be put on the problem's device, or None; this does not involve the backend."""
    if trial.problem.device == "cpu":
        return None
    try:
        deliver(np.zeros(1, np.float32), caller_library(trial))
    # Each library raises its own exception if there is no such device.
    except Exception as error:
        if raised_by_caller(error):
            raise
        return f"{type(error).__name__}: {error}"
    return None
