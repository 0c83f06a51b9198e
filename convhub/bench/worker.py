"""The process that times: it reads a `Work` from stdin and writes a line of JSON for each step to stdout.

A process of its own for each mode of memory, since malloc cannot be set back (`memory`), and since the
number of threads of some libraries is fixed when they are loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from ..errors import ConvhubError
from ..problem import Problem
from .agreement import check_agreement
from .classes import class_of
from .contenders import TORCH, contender, operands
from .layers import Layer
from .memory import keep
from .peak import Peak, measure_peak
from .results import Memory, Row, Settings
from .timing import interleaved, milliseconds

__all__ = ["Step", "Task", "Work", "environment", "time_layer", "work"]


@dataclass(frozen=True, slots=True)
class Task:
    """A layer, with its problem as a text."""

    name: str
    problem: str
    transposed: bool

    @property
    def layer(self) -> Layer:
        """The layer itself."""
        return Layer(self.name, Problem.parse(self.problem), self.transposed)


@dataclass(frozen=True, slots=True)
class Work:
    """What one process is to do; `peak_dtype` is empty where the peak is not wanted."""

    tasks: list[Task]
    settings: Settings
    memory: Memory
    peak_dtype: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What a worker writes: one of a row, the peak, or the error that ended its work."""

    row: Row | None = None
    peak: Peak | None = None
    error: str = ""


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables that a worker must be started with."""
    blas = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    return dict.fromkeys((*blas, "CONVHUB_THREADS"), str(settings.threads)) | {
        "CONVHUB_ACCURACY": settings.accuracy
    }


def work(given: Work, write: Callable[[Step], None]) -> None:
    """Time every layer, and write each row when it is there."""
    if given.memory == "keep":
        keep()
    if given.settings.against == TORCH:
        import torch

        torch.set_num_threads(given.settings.threads)
    if given.peak_dtype:
        write(Step(peak=measure_peak(given.peak_dtype, given.settings.threads)))
    for task in given.tasks:
        write(Step(row=time_layer(task.layer, given.settings, given.memory)))


def time_layer(layer: Layer, settings: Settings, memory: Memory) -> Row:
    """Time both sides on one layer, after a look at whether they agree.

    Raises
    ------
    DisagreementError
        If they do not.
    """
    problem = layer.problem
    given = operands(problem)
    ours = contender(settings.backend, layer, given)
    theirs = contender(settings.against, layer, given, is_other=True)
    row = Row(
        layer_class=class_of(layer),
        name=layer.name,
        problem=str(problem),
        operation=layer.operation,
        macs=problem.macs,
        bytes=problem.input_bytes + problem.weight_bytes + problem.output_bytes,
        memory=memory,
        backend=ours.name,
        algorithm=ours.algorithm,
        against=theirs.name,
        declined=ours.declined,
        against_declined=theirs.declined,
    )
    sides = [side for side in (ours, theirs) if side.call is not None]
    results = [side.result() for side in sides]
    if len(sides) == 2:
        names = [_full_name(side.name, side is theirs) for side in sides]
        check_agreement(problem, names[0], results[0], names[1], results[1])
    del results
    times = interleaved([side.call for side in sides if side.call is not None], settings)
    best = {id(side): milliseconds(times.of(index), memory) for index, side in enumerate(sides)}
    return replace(
        row,
        milliseconds=best.get(id(ours)),
        against_milliseconds=best.get(id(theirs)),
        rounds=len(times.rounds) if sides else 0,
    )


def _full_name(name: str, is_other: bool) -> str:
    return "torch itself" if is_other and name == TORCH else name


def _main() -> None:
    # What libraries print must not come between the lines: it goes where errors go.
    with os.fdopen(os.dup(1), "wb") as output:
        os.dup2(2, 1)

        def write(step: Step) -> None:
            output.write(msgspec.json.encode(step) + b"\n")
            output.flush()

        try:
            work(msgspec.json.decode(sys.stdin.buffer.read(), type=Work), write)
        except ConvhubError as error:
            write(Step(error=str(error)))


if __name__ == "__main__":
    _main()
