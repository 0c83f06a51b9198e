"""Runs a benchmark: one worker process for each mode of memory, one after the other."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import IO

import msgspec

from ..errors import ConvhubError
from .layers import Layer
from .memory import can_keep
from .peak import Peak
from .results import Memory, Row, Settings
from .worker import Step, Task, Work, environment

__all__ = ["BenchmarkError", "possible_memory", "run"]

#: The most characters shown of a dead worker's stderr.
TAIL = 2000


class BenchmarkError(ConvhubError):
    """A benchmark could not be finished."""


def possible_memory() -> tuple[Memory, ...]:
    """Return the modes of memory that this system supports."""
    return ("keep", "system") if can_keep() else ("system",)


def run(
    layers: Sequence[Layer], settings: Settings, *, peak_dtype: str, advance: Callable[[str], None]
) -> tuple[list[Row], Peak | None]:
    """Time every layer in every mode of memory.

    Parameters
    ----------
    layers : sequence of Layer
        The layers, whose problems have the primitive and the dtype to time.
    peak_dtype : str
        The dtype of the matrix product that measures the machine's peak; empty to skip this.
    advance : callable
        Called with a description after each layer in each mode.

    Returns
    -------
    (list of Row, Peak or None)

    Raises
    ------
    BenchmarkError
        If the two sides disagree on a layer, or a worker dies; the message quotes the worker's own.
    """
    rows: list[Row] = []
    peak: Peak | None = None
    tasks = [Task(layer.name, str(layer.problem), layer.transposed) for layer in layers]
    for memory in settings.memory:
        wanted = peak_dtype if memory == settings.memory[0] else ""
        for step in _steps(Work(tasks, settings, memory, wanted)):
            if step.error:
                raise BenchmarkError(step.error)
            if step.peak is not None:
                peak = step.peak
            if step.row is not None:
                rows.append(step.row)
                advance(f"{memory}: {step.row.problem}")
    return rows, peak


def _steps(given: Work) -> Iterator[Step]:
    """Start a worker and yield what it writes; end it when the generator is closed."""
    done = 0
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=messages,
            env=os.environ | environment(given.settings),
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError), process.stdin:  # It died; its exit code says so below.
                process.stdin.write(msgspec.json.encode(given))
            for line in process.stdout:
                step = msgspec.json.decode(line, type=Step)
                done += step.row is not None
                yield step
            code = process.wait()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        said = _tail(messages)
        if code:
            during = given.tasks[done].problem if done < len(given.tasks) else "the end"
            raise BenchmarkError(f"the process that times ended with code {code} at {during}:\n{said}")
        if said:
            sys.stderr.write(f"{said}\n")


def _tail(messages: IO[bytes]) -> str:
    messages.seek(0)
    return messages.read().decode(errors="replace").strip()[-TAIL:]
