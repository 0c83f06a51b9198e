"""Faults of what calls share: caches whose keys say too little, scratch memory of several primitives."""

from __future__ import annotations

import itertools

import numpy as np
from conformance.correct.widths import widen

from .faults import fault


def _shapes(problem):
    return problem.operand_shapes, problem.result_shape, problem.dtype


def _plans_that_ignore(*fields):
    """Make a fault that keeps a plan for each shape, and so the first call's values of some parameters."""

    def make():
        plans = {}

        def run(right, first, second, bias, problem, options):
            known = {"stride", "dilation", "padding"} - set(fields)
            key = _shapes(problem), *(getattr(problem, name) for name in sorted(known))
            plan = plans.setdefault(key, problem)
            return right(first, second, bias, plan, options)

        return run

    return make


for _fields in (("stride",), ("dilation",), ("padding",), ("stride", "dilation", "padding")):
    _make = _plans_that_ignore(*_fields)
    _make.__name__ = f"plan_keeps_{'_and_'.join(_fields)}"
    _make.__doc__ = f"Keeps a plan for each shape, and in it the {' and '.join(_fields)} of the first call."
    fault("same shapes", remembers=True)(_make)


@fault("same shapes", on=("forward", "grad_input"), remembers=True)
def plan_keeps_whether_there_is_a_bias():
    """Compiles a problem with the bias of its first call, or without one, and leaves out later ones."""
    without = {}

    def run(right, first, second, bias, problem, options):
        known = without.setdefault(problem, bias is None)
        return right(first, second, None if known else bias, problem, options)

    return run


def _weights_kept_by(sign):
    """Make a fault that keeps the second operand by something of its bytes that may stay the same."""

    def make():
        packed = {}

        def run(right, first, second, bias, problem, options):
            key = problem, sign(np.ascontiguousarray(second))
            return right(first, packed.setdefault(key, second.copy()), bias, problem, options)

        return run

    return make


_SIGNS = {
    "its_first_and_last_number": lambda a: (a.flat[0].tobytes(), a.flat[-1].tobytes()) if a.size else b"",
    "its_first_kilobyte": lambda a: a.tobytes()[:1024],
    "every_64th_number": lambda a: a.reshape(-1)[::64].tobytes(),
}
for _what, _sign in _SIGNS.items():
    _make = _weights_kept_by(_sign)
    _make.__name__ = f"operand_kept_by_{_what}"
    _make.__doc__ = f"Keeps the packed second operand, and recognizes it by {_what.replace('_', ' ')}."
    fault("changed elements", remembers=True)(_make)


@fault("changed elements", remembers=True)
def operand_kept_by_its_address_and_shape():
    """Keeps a transform of the second operand for as long as an array has its address and shape."""
    packed = {}

    def run(right, first, second, bias, problem, options):
        key = problem, second.ctypes.data, second.shape
        return right(first, packed.setdefault(key, second.copy()), bias, problem, options)

    return run


def _after(calls):
    def make():
        count = itertools.count(1)

        def run(right, first, second, bias, problem, options):
            result = right(first, second, bias, problem, options)
            if next(count) > calls and result.size:
                result.flat[0] = result.flat[0] + result.dtype.type(1)
            return result

        return run

    return make


for _calls in (300, 1000):
    _make = _after(_calls)
    _make.__name__ = f"wrong_after_{_calls}_calls"
    _make.__doc__ = f"Wrong after {_calls} calls in a process: a ring of buffers begins anew."
    fault("many calls", remembers=True)(_make)


@fault("primitives by turns", remembers=True)
def scratch_of_another_primitive():
    """Keeps the packed second operand until another shape comes: a primitive with the same one finds it."""
    kept = {}

    def run(right, first, second, bias, problem, options):
        shape = problem.operand_shapes, problem.dtype
        if kept.get("shape") != shape:
            kept.update(shape=shape, second=second.copy())
        elif np.array_equal(widen(kept["second"]).shape, second.shape):
            second = kept["second"]
        return right(first, second, bias, problem, options)

    return run
