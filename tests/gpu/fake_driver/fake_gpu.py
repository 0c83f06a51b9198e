"""A plugin for tests of benchmarks on a GPU: backends on `cupy`, the stand-in, with known times."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from support import toy_backend

from convhub.backend import Backend, Capabilities, hookimpl

convhub_contract = 1


@dataclass(frozen=True)
class Options:
    """`wrong` adds it to every result."""

    wrong: float = 0.0


def _run(primitive, milliseconds, *arguments):
    import cupy

    *operands, problem, options = arguments
    hosts = [None if operand is None else operand.host for operand in operands]
    result = getattr(toy_backend, primitive)(*hosts, problem, options)
    cupy.work(milliseconds)
    return cupy.asarray(result + result.dtype.type(options.backend.wrong))


def _backend(name, milliseconds, preference):
    return Backend(
        name,
        Capabilities(dtypes=("float32", "float64"), devices=("cuda",), arrays="cupy"),
        *(functools.partial(_run, name, milliseconds) for name in ("forward", "grad_input", "grad_weight")),
        algorithm=lambda problem, options: "tf32" if options.allow_tf32 else "ieee",
        options=Options,
        preference={"cuda": preference},
    )


@hookimpl
def convhub_backends():
    return [_backend("fake_fast", 1.0, preference=100), _backend("fake_slow", 3.0, preference=99)]
