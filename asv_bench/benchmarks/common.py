"""The rows and the layers that all benchmarks share, and when one of them may be skipped.

asv shows "n/a" for a benchmark whose ``setup`` raises `NotImplementedError`, and ends as if all were well. So
this is raised in one place alone, `refuse_what_is_declined`, for what a backend itself says that it does not
take. Anything else that keeps a row from running, a missing import above all, is a failed benchmark.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import convhub
from convhub import config
from convhub.bench import contenders
from convhub.bench.layers import Layer
from convhub.candidates import current_registry, judge, judge_availability
from convhub.problem import PRIMITIVES, Primitive, Problem, with_primitive

__all__ = [
    "DTYPES",
    "FAST_ROWS",
    "LAYERS",
    "PRIMITIVES",
    "ROWS",
    "TORCH_ITSELF",
    "calls_within",
    "layer",
    "prepared",
    "refuse_what_is_declined",
    "rows",
]

#: The row that is no backend of convhub: torch's own functions, in the same environment and run.
TORCH_ITSELF = "torch itself"

#: Loops in Python, made to be read: one of `LAYERS` takes them up to a minute.
LOOPS = ("naive",)

DTYPES = ("float32", "float64")

#: One layer of each class of `convhub.bench.classes`, from the lists in ``convhub/bench/shapes``; of at most
#: 120 million multiply-accumulates. They are written out, since a curve over years must be one of the same
#: problem, and the lists may grow.
LAYERS: dict[str, str] = {
    "3x3": "n1c64h28w28_k96r3s3_pad1x1",
    "1x1": "n1c512h28w28_k128r1s1",
    "3x3 strided": "n3c96h28w28_k96r3s3_stride2x2_pad1x1",
    "5x5 and 7x7": "n4c256h7w7_k1024r7s7",
    "stem": "n1c3h224w224_k64r7s7_stride2x2_pad3x3",
    "depthwise": "n6c256h38w38_k256r3s3_pad1x1_groups256",
    "large depthwise": "n1c512h14w14_k512r27s27_pad13x13_groups512",
    "grouped": "n4c256h28w28_k256r3s3_pad1x1_groups32",
    "dilated": "n1c32h64w64_k32r3s3_pad4x4_dilation4x4",
    "transposed": "n1c144h14w14_k288r3s3_pad1x1",
    "odd": "n1c160h17w17_k160r7s1_pad3x0",
}


def rows() -> list[str]:
    """Return the backends that are installed and run on the CPU, those that did not load, and torch itself.

    A backend whose plugin broke is listed, so that its benchmarks fail; left out, it would only be missed.
    """
    broken = [failure.name for failure in current_registry().failures]
    return list(dict.fromkeys([*convhub.available_backends("cpu"), *broken, TORCH_ITSELF]))


ROWS = rows()

#: Those that are fast enough for `LAYERS`.
FAST_ROWS = [row for row in ROWS if row not in LOOPS]


def layer(name: str, primitive: Primitive = "forward", dtype: str = "float32") -> Layer:
    """Return one of `LAYERS`.

    Parameters
    ----------
    name : str
        The class of the layer.
    primitive : {"forward", "grad_input", "grad_weight"}
        Of convhub: for the transposed layer, grad_input is ``conv_transpose2d`` itself, and forward its
        gradient for the input.
    dtype : str
        By NumPy's name.
    """
    problem = with_primitive(Problem.parse(LAYERS[name]), primitive).replace(dtype=dtype)
    return Layer(name, problem, transposed=name == "transposed")


def refuse_what_is_declined(row: str, problem: Problem) -> None:
    """Skip the benchmark that is being set up if the row's backend declares that it does not take `problem`.

    Raises
    ------
    NotImplementedError
        If its `Capabilities`, the primitives that it offers, or its ``supports`` say so. asv shows "n/a".
    RuntimeError
        If it is not available, or breaks the contract in its answer. asv shows "failed".
    """
    registered = current_registry().backends.get(row)
    if registered is None:  # torch itself; or a plugin that did not load, which `prepared` says
        return
    resolved = config.current()
    missing = judge_availability(registered.backend, resolved).reason
    if missing is not None:
        raise RuntimeError(f"{registered} is not available: {missing}")
    reply = judge(registered.backend, problem, resolved)
    if reply.fault:
        raise RuntimeError(f"{registered}, asked for {problem}: {reply.reason}")
    if reply.reason is not None:
        raise NotImplementedError(f"{registered} declines {problem}: {reply.reason}")


@functools.cache
def prepared(row: str, layer: Layer) -> Callable[[], Any]:
    """Return a layer as a call without arguments, after a first call, which may have compiled.

    Raises
    ------
    RuntimeError
        If the row does not run it. An ImportError, or a NotImplementedError of the backend's, becomes one:
        the latter would be a silent "n/a".
    """
    is_torch = row == TORCH_ITSELF
    given = contenders.operands(layer.problem)
    try:
        side = contenders.contender(contenders.TORCH if is_torch else row, layer, given, is_other=is_torch)
        if side.call is None:
            raise RuntimeError(f"{row} does not run {layer.problem}: {side.declined}")
        side.call()
    except (ImportError, NotImplementedError) as error:
        raise RuntimeError(f"{row} does not run {layer.problem}: {error!r}") from error
    return side.call


@functools.cache
def calls_within(call: Callable[[], Any], seconds: float) -> int:
    """Return how many calls take about so many seconds; one at least."""
    start = time.perf_counter()
    call()
    return max(1, int(seconds / (time.perf_counter() - start)))
