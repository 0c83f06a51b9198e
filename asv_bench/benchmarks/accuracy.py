"""Measures the worst error of a few small problems, in units of the bound of the conformance suite.

A value above 1 breaks a promise. The error is for observation over years, not a reason to reject a change:
another order of summation changes it.

This is the only benchmark that needs more of convhub than it exports: the exact result and the bound, in the
form that they have had since the first suite, and in every module that has contained them.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import convhub

from . import common
from .calls import Layer, operands

#: Edge cases of the suite: long sums, and every kind of index.
PROBLEMS = {
    "sum over many channels": "n1c131h3w3_k3r3s3",
    "prime channels past two vectors": "n1c33h4w5_k37r2s3",
    "depthwise with stride and dilation": "n2c5h14w13_k5r3s3_stride2x2_dilation2x2_pad2x2_groups5",
    "many images": "n41c2h3w4_k3r2s2",
}


class WorstError:
    """The worst error on normal random operands; torch itself is held to the bound of each element."""

    param_names = ("backend", "primitive", "problem", "dtype")
    params = (common.ROWS, list(common.PRIMITIVES), list(PROBLEMS), list(common.DTYPES))
    unit = "bounds"

    def setup(self, backend: str, primitive: str, problem: str, dtype: str) -> None:
        """Skip what is declined, and revisions from before the suite."""
        common.need_module("convhub.conformance")
        common.ready(backend, _layer(primitive, problem, dtype))

    def track_worst_error(self, backend: str, primitive: str, problem: str, dtype: str) -> float:
        """Return it; infinite where a result is no number."""
        oracle = _module("convhub.reference.oracle", "convhub.conformance.oracle")
        bounds = _module("convhub.reference.bounds", "convhub.conformance.bounds")
        layer = _layer(primitive, problem, dtype)
        x, w, dy = operands(layer.problem)
        taken = {"forward": (x, w), "grad_input": (dy, w), "grad_weight": (dy, x)}
        right = oracle.exact(layer.problem, oracle.Operands(*taken[primitive]))
        allowed = bounds.bound(layer.problem, right, _accuracy(backend, layer.problem))
        result = common.ready(backend, layer)()
        return bounds.worst(
            result.numpy() if backend == common.TORCH_ITSELF else result, right, allowed
        ).ratio


def _layer(primitive: str, name: str, dtype: str) -> Layer:
    return Layer(convhub.Problem.parse(f"{primitive}_{dtype}_{PROBLEMS[name]}"))


def _module(now: str, before: str) -> Any:
    """Return a module of convhub, which earlier revisions have under another name."""
    try:
        return importlib.import_module(now)
    except ModuleNotFoundError:
        return importlib.import_module(before)


def _accuracy(backend: str, problem: convhub.Problem) -> Any:
    """Return the accuracy class of a backend, which is one for all its algorithms in early revisions."""
    from convhub import config, plugins

    if backend == common.TORCH_ITSELF:
        return "componentwise"
    registered = plugins.registry().backends[backend]
    found = registered.backend
    if not hasattr(found, "accuracy_of"):
        return found.capabilities.accuracy
    run_options = _module("convhub.dispatch.options", "convhub.candidates").run_options
    takes_owner = "registered" in inspect.signature(run_options).parameters
    return found.accuracy_of(problem, run_options(registered if takes_owner else found, config.current()))
