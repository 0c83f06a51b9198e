"""What a fault is: a function that stands in place of one primitive of a backend that is right."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from conformance.correct.widths import DTYPES, narrow, widen
from support import toy_backend

from convhub.arrays import to_numpy
from convhub.backend import Backend, Capabilities
from convhub.conformance.calls import tensor
from convhub.problem import PRIMITIVES, Primitive

__all__ = ["FAULTS", "TOLERATED", "Fault", "fault", "right_backend", "variants"]


def _right(primitive: Primitive) -> Callable[..., Any]:
    """Return the toy backend's primitive, of every dtype, with a bias that is None for grad_weight."""

    def right(first, second, bias, problem, options):
        given = [widen(first), widen(second)]
        if primitive != "grad_weight":
            given.append(widen(bias))
        return narrow(getattr(toy_backend, primitive)(*given, problem, options), problem)

    return right


RIGHT: Mapping[Primitive, Callable[..., Any]] = {primitive: _right(primitive) for primitive in PRIMITIVES}


class Fault(NamedTuple):
    """One way to be wrong.

    `function` is called as ``function(right, first, second, bias, problem, options)``, where `right` is the
    primitive in whose place it stands: ``right(first, second, bias, problem, options)``. Where the fault
    `remembers` something between calls, `function` takes nothing and returns such a function, so that each
    backend has a memory of its own. `declares` has what it declares instead of what is right; if that is
    torch's tensors, all primitives take these. `checks` are those that must find it, in whichever of
    `primitives` it is.
    """

    name: str
    kind: str
    summary: str
    function: Callable[..., Any]
    primitives: tuple[Primitive, ...]
    checks: tuple[str, ...]
    remembers: bool
    declares: Mapping[str, Any]

    def backend_name(self, primitive: Primitive) -> str:
        return f"{self.name}-in-{primitive}"

    def backend(self, primitive: Primitive) -> Backend:
        """Return a backend with this fault in one primitive, and with all others right."""
        function = self.function() if self.remembers else self.function
        whole = dataclasses.replace(right_backend, name=self.backend_name(primitive), **self.declares)
        right = RIGHT
        if whole.capabilities.arrays == "torch":
            right = {one: _on_tensors(RIGHT[one]) for one in PRIMITIVES}
            whole = dataclasses.replace(whole, **{one: _as_primitive(right[one], one) for one in PRIMITIVES})
        wrong = _as_primitive(functools.partial(function, right[primitive]), primitive)
        return dataclasses.replace(whole, **{primitive: wrong})


def _as_primitive(function: Callable[..., Any], primitive: Primitive) -> Callable[..., Any]:
    if primitive != "grad_weight":
        return function
    return lambda dy, x, problem, options: function(dy, x, None, problem, options)


def _on_tensors(right: Callable[..., Any]) -> Callable[..., Any]:
    """Return a primitive that takes tensors, and returns one."""

    def on_tensors(first, second, bias, problem, options):
        given = [None if one is None else to_numpy(one) for one in (first, second, bias)]
        return tensor(right(*given, problem, options))

    return on_tensors


right_backend = Backend(
    "right",
    Capabilities(dtypes=DTYPES),
    *(_as_primitive(RIGHT[primitive], primitive) for primitive in PRIMITIVES),
)

FAULTS: dict[str, Fault] = {}
#: What looks like a fault, and is allowed: no check may fail.
TOLERATED: dict[str, Fault] = {}


def fault(*checks: str, on: tuple[Primitive, ...] = PRIMITIVES, remembers: bool = False, **declares: Any):
    """Make a function a fault in each of the primitives `on`, which these checks must find.

    Without checks it is tolerated. `declares` are arguments of `Backend`.
    """

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        kind = function.__module__.rpartition(".")[2]
        summary = function.__doc__.partition("\n")[0].rstrip(".")
        table = FAULTS if checks else TOLERATED
        assert function.__name__ not in FAULTS.keys() | TOLERATED.keys(), function.__name__
        table[function.__name__] = Fault(
            function.__name__, kind, summary, function, on, checks, remembers, declares
        )
        return function

    return add


def variants(faults: Mapping[str, Fault]) -> list[tuple[Fault, Primitive]]:
    """Return each fault with each primitive that it is in."""
    return [(fault, primitive) for fault in faults.values() for primitive in fault.primitives]
