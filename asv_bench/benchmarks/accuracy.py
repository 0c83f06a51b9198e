"""The worst error of a few small problems, in units of the bound to which the conformance suite holds it.

Above 1 a promise is broken. It is a number to look at over years, and nothing to stop a change by: another
order of adding up moves it.
"""

from __future__ import annotations

from typing import Any

from convhub import config
from convhub.backend import Accuracy
from convhub.bench.contenders import operands
from convhub.bench.layers import of_problem
from convhub.candidates import current_registry, run_options
from convhub.conformance.bounds import bound, worst
from convhub.conformance.calls import fetch
from convhub.conformance.cases import EDGES
from convhub.conformance.oracle import Operands, exact
from convhub.problem import Problem, with_primitive

from . import common

#: Of the suite's edges: long sums, and every kind of index.
PROBLEMS = (
    "sum over many channels",
    "prime channels past two vectors",
    "depthwise with stride and dilation",
    "many images",
)


class WorstError:
    """Of normal random operands; torch itself is held to the bound of each element."""

    param_names = ("backend", "primitive", "problem", "dtype")
    params = (common.ROWS, list(common.PRIMITIVES), list(PROBLEMS), list(common.DTYPES))
    unit = "bounds"

    def setup(self, backend: str, primitive: Any, problem: str, dtype: str) -> None:
        """Skip what is declined."""
        common.refuse_what_is_declined(backend, _problem(primitive, problem, dtype))

    def track_worst_error(self, backend: str, primitive: Any, problem: str, dtype: str) -> float:
        """Return it; infinite where a result is no number."""
        tried = _problem(primitive, problem, dtype)
        x, w, dy = operands(tried)
        taken = {"forward": (x, w), "grad_input": (dy, w), "grad_weight": (dy, x)}
        right = exact(tried, Operands(*taken[primitive]))
        result = fetch(common.prepared(backend, of_problem(tried))())
        return worst(result, right, bound(tried, right, _accuracy(backend, tried))).ratio


def _problem(primitive: Any, name: str, dtype: str) -> Problem:
    return with_primitive(Problem.parse(EDGES[name]), primitive).replace(dtype=dtype)


def _accuracy(backend: str, problem: Problem) -> Accuracy:
    if backend == common.TORCH_ITSELF:
        return "componentwise"
    registered = current_registry().backends[backend]
    return registered.backend.accuracy_of(problem, run_options(registered.backend, config.current()))
