"""Compiles in a separate process, which reads a problem in each line of stdin, and answers each in JSON.

``worker [--profile] [BACKEND]``: without a backend, each problem is compiled by the one that would run it.
With --profile, compiling is measured, and nothing is kept.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from ..backend import KernelProfile
from ..dispatch.choice import Choice
from ..dispatch.choose import NotMeasured, choose
from ..dispatch.queries import compiled_by, profiled_by
from ..dispatch.request import make_request
from ..errors import ConvhubError
from ..problem import Problem

__all__ = ["Outcome", "compile_problem"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What compiling one problem on one backend came to.

    Parameters
    ----------
    problem, backend, algorithm : str
        The problem as a text, and what would run it; empty where nothing does.
    compiled : int or None
        How many kernels were compiled, and not there already; None where the backend compiles nothing ahead.
    seconds : float
        How long it took.
    error : str
        Why it failed; else empty.
    kernels : tuple of KernelProfile
        The kernels that were compiled, if that was measured.
    """

    problem: str
    backend: str = ""
    algorithm: str = ""
    compiled: int | None = None
    seconds: float = 0.0
    error: str = ""
    kernels: tuple[KernelProfile, ...] = ()


def compile_problem(text: str, backend: str | None, profile: bool = False) -> list[Outcome]:
    """Compile what calls of a problem need, on the backend that would run it, or on all that tuning tries."""
    problem = Problem.parse(text)
    try:
        choices = _choices(problem, backend)
    except ConvhubError as error:
        return [Outcome(text, error=str(error))]
    return [(_profiled if profile else _compiled)(problem, choice) for choice in choices]


def _choices(problem: Problem, backend: str | None) -> list[Choice]:
    try:
        return [choose(problem, make_request(backend), measure=False)]
    except NotMeasured as unknown:
        return [choose(problem, make_request(name)) for name in unknown.candidates]


def _compiled(problem: Problem, choice: Choice) -> Outcome:
    begin = time.perf_counter()
    compiled, error = None, ""
    try:
        compiled = compiled_by(choice.registered, problem, choice.options)
    except (ConvhubError, MemoryError) as failure:
        error = str(failure)
    seconds = time.perf_counter() - begin
    return Outcome(str(problem), choice.backend.name, choice.algorithm, compiled, seconds, error)


def _profiled(problem: Problem, choice: Choice) -> Outcome:
    begin = time.perf_counter()
    kernels, error = None, ""
    try:
        kernels = profiled_by(choice.registered, problem, choice.options)
    except (ConvhubError, MemoryError) as failure:
        error = str(failure)
    seconds = time.perf_counter() - begin
    compiled = None if kernels is None else len(kernels)
    name = choice.backend.name
    return Outcome(str(problem), name, choice.algorithm, compiled, seconds, error, kernels or ())


def _serve(backend: str | None, profile: bool, write: Callable[[bytes], object]) -> None:
    for line in sys.stdin:
        write(msgspec.json.encode(compile_problem(line.strip(), backend, profile)) + b"\n")


def _main() -> None:
    # Output of libraries must not get between the lines: it goes to stderr.
    with os.fdopen(os.dup(1), "wb", buffering=0) as output:
        os.dup2(2, 1)
        profile = sys.argv[1:2] == ["--profile"]
        backend = sys.argv[2 if profile else 1 :]
        _serve(backend[0] if backend else None, profile, output.write)


if __name__ == "__main__":
    try:
        _main()
    # The program that started this one has ended, or is about to.
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(1)
