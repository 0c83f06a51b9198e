"""Times layers in a separate process, which reads a `Work` from stdin and writes each step to stdout as JSON.

Each mode of memory has its own process, since malloc cannot be reset (`memory`), and since the number of
threads of some libraries is fixed when they are loaded.
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
from .cuda import cuda, event_clock, issue_seconds, prepare_torch
from .device import library_of, parse_device
from .layers import Layer
from .memory import keep
from .peak import Peak, measure_peak
from .results import Memory, Row, Settings
from .sides import TORCH, Side, make_side, operands
from .timing import Clock, interleaved, milliseconds, on_host

__all__ = ["Step", "Task", "Work", "environment", "time_layer", "work"]


@dataclass(frozen=True, slots=True)
class Task:
    """A layer with its problem as a text."""

    name: str
    problem: str
    transposed: bool

    @property
    def layer(self) -> Layer:
        """The layer itself."""
        return Layer(self.name, Problem.parse(self.problem), self.transposed)


@dataclass(frozen=True, slots=True)
class Work:
    """The work of one process; `peak_dtype` is empty if the peak is not wanted."""

    tasks: list[Task]
    settings: Settings
    memory: Memory
    peak_dtype: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One message of a worker: a row, the peak, or the error that ended its work."""

    row: Row | None = None
    peak: Peak | None = None
    error: str = ""


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables that a worker must be started with."""
    blas = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    variables = {
        "CONVHUB_ACCURACY": settings.accuracy,
        "CONVHUB_ALLOW_TF32": str(settings.allow_tf32).lower(),
        "CONVHUB_CHECK": "off",
    }
    if settings.device == "cpu":
        variables |= dict.fromkeys((*blas, "CONVHUB_THREADS"), str(settings.threads))
    return variables


def work(given: Work, write: Callable[[Step], None]) -> None:
    """Time every layer, and write each row as soon as it is ready."""
    if given.memory == "keep":
        keep()
    if given.settings.device == "cpu":
        _prepare_cpu(given.settings)
    else:
        _prepare_gpu(given.settings)
    if given.peak_dtype:
        write(Step(peak=measure_peak(given.peak_dtype, given.settings.threads)))
    for task in given.tasks:
        write(Step(row=time_layer(task.layer, given.settings, given.memory)))
        if given.settings.device != "cpu":  # one library's pool would withhold memory from the other
            for library in _libraries(given.settings):
                cuda(library).release()


def _prepare_cpu(settings: Settings) -> None:
    if settings.against == TORCH:
        import torch

        torch.set_num_threads(settings.threads)


def _prepare_gpu(settings: Settings) -> None:
    """Choose the device in each library, and let torch measure its fastest algorithms."""
    for library in _libraries(settings):
        cuda(library).use(parse_device(settings.device).index)
    if settings.against == TORCH:
        prepare_torch(settings.allow_tf32)


def _libraries(settings: Settings) -> set[str]:
    """Return the libraries whose arrays the sides use on a GPU."""
    assert settings.backend is not None  # on a GPU it is always named
    other = TORCH if settings.against == TORCH else library_of(settings.against)
    return {library_of(settings.backend), other}


def time_layer(layer: Layer, settings: Settings, memory: Memory) -> Row:
    """Time both sides on one layer, after checking that they agree.

    Raises
    ------
    DisagreementError
        If they do not.
    """
    problem = layer.problem
    given = operands(problem)
    ours = make_side(settings.backend, layer, given)
    theirs = make_side(settings.against, layer, given, is_other=True)
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
        allow_tf32 = settings.allow_tf32
        check_agreement(problem, names[0], results[0], names[1], results[1], allow_tf32=allow_tf32)
    del results
    clocks = [_clock(side, settings) for side in sides]
    times = interleaved([side.call for side in sides if side.call is not None], settings, clocks)
    best = {id(side): milliseconds(times.of(index), memory) for index, side in enumerate(sides)}
    return replace(
        row,
        milliseconds=best.get(id(ours)),
        against_milliseconds=best.get(id(theirs)),
        rounds=len(times.rounds) if sides else 0,
        issue_milliseconds=_issue(ours, settings),
        against_issue_milliseconds=_issue(theirs, settings),
    )


def _clock(side: Side, settings: Settings) -> Clock:
    return on_host if settings.device == "cpu" else event_clock(cuda(side.library))


def _issue(side: Side, settings: Settings) -> float | None:
    """Return the milliseconds that the host takes to issue a call to a GPU."""
    if settings.device == "cpu" or side.call is None:
        return None
    return 1e3 * issue_seconds(cuda(side.library), side.call)


def _full_name(name: str, is_other: bool) -> str:
    return "torch itself" if is_other and name == TORCH else name


def _main() -> None:
    # Output of libraries must not get between the lines: it goes to stderr.
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
