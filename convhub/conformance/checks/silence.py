"""Checks that a call prints nothing, at no level, and lets no warning out."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...arrays import numpy_dtype
from ...reference.operands import operands
from ...reference.oracle import Operands
from ..calls import compute, with_more_images
from ..trial import CheckFailure, Trial

__all__ = ["captured", "silent"]

#: How many images more make a problem that no other check computes.
MORE_IMAGES = 2
#: The longest text that is shown of what was printed.
SHOWN = 200


def silent(trial: Trial) -> None:
    """Check that calls print nothing and let no warning out, whatever the numbers are.

    The first is of a problem that no other check computes. NumPy's error state is such that NumPy does not
    warn of numbers: that state belongs to the caller.
    """
    fresh = with_more_images(trial, MORE_IMAGES)
    if fresh is not None:
        _check(fresh, operands(fresh.problem, trial.seed, bias=True), "random operands")
    for what, given in _chosen(trial):
        _check(trial, given, what)


def _chosen(trial: Trial) -> Iterator[tuple[str, Operands]]:
    given = operands(trial.problem, trial.seed, bias=True)
    yield "random operands", given
    read_only = given.map(np.copy)
    for array in read_only:
        if array is not None:
            array.flags.writeable = False
    yield "read-only operands", read_only
    if numpy_dtype(trial.problem.dtype).kind in "iu":
        return
    for value in (np.nan, np.inf, np.finfo(np.float32).max):
        special = given.map(np.copy)
        for array in special[:2]:
            with np.errstate(over="ignore"):
                array.flat[::3] = value
        yield f"operands with {value:.3g}", special


def _check(trial: Trial, given: Operands, what: str) -> None:
    with _every_warning() as caught, captured() as printed:
        compute(trial, given)
    for warning in caught:
        raise CheckFailure(
            trial,
            f"{what}: the call let out the warning {warning.category.__name__}: "
            f"{_shortened(str(warning.message))!r}; it must let none out",
        )
    for place, text in printed.items():
        if text:
            raise CheckFailure(
                trial, f"{what}: the call printed {_shortened(text)!r} to {place}; it must be silent"
            )


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


@contextlib.contextmanager
def _every_warning() -> Iterator[list[Any]]:
    """Collect the warnings of a block, those too that are shown only once in a process."""
    torch: Any = sys.modules.get("torch")
    before = torch is not None and torch.is_warn_always_enabled()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if torch is not None:
            torch.set_warn_always(True)
        try:
            yield caught
        finally:
            if torch is not None:
                torch.set_warn_always(before)


@contextlib.contextmanager
def captured() -> Iterator[dict[str, str]]:
    """Collect, by place, what a block prints: to Python's two streams, and to file descriptors 1 and 2."""
    printed: dict[str, str] = {}
    streams = io.StringIO(), io.StringIO()
    before = sys.stdout, sys.stderr
    _flush()
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in streams]
        kept = [_duplicate(number) for number in (1, 2)]
        try:
            for number, copy, file in zip((1, 2), kept, files, strict=True):
                if copy is not None:
                    os.dup2(file.fileno(), number)
            sys.stdout, sys.stderr = streams
            yield printed
        finally:
            sys.stdout, sys.stderr = before
            _flush()
            for number, copy in zip((1, 2), kept, strict=True):
                if copy is not None:
                    os.dup2(copy, number)
                    os.close(copy)
        for name, number, stream, file in zip(("stdout", "stderr"), (1, 2), streams, files, strict=True):
            file.seek(0)
            printed[f"sys.{name}"] = stream.getvalue()
            printed[f"file descriptor {number}"] = file.read().decode(errors="replace")


def _duplicate(number: int) -> int | None:
    """Return a copy of a file descriptor, or None if the process has closed it."""
    try:
        return os.dup(number)
    except OSError:
        return None


def _flush() -> None:
    """Write what Python and the C library have in their buffers."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None and not stream.closed:
            stream.flush()
    if os.name == "posix":
        ctypes.CDLL(None).fflush(None)
