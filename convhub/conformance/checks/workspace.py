"""Checks that a call takes no more memory than `workspace_limit` allows, as far as NumPy allocates it."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np

from ...problem import Problem
from ...reference.operands import operands
from ...reference.oracle import Array, Operands
from ..calls import compute, settings
from ..trial import CheckFailure, Skip, Trial

__all__ = ["workspace_limit"]

#: The limit, in bytes, and numbers of threads, which must share it.
LIMIT, THREADS = 2**19, (1, 8)
#: What is allowed beyond the limit: two copies of each array, the image padded, of so many bytes an
#: element, as an algorithm makes that pads, widens or transforms; and so many bytes for all else.
COPIES, ITEM, SPARE = 2, 16, 2**18


def workspace_limit(trial: Trial) -> None:
    """Check the memory that NumPy and Python allocate during a call, and what NumPy has kept after the first.

    That of libraries in other languages is not seen.
    """
    problem = trial.problem
    if problem.device != "cpu":
        raise Skip("memory of a GPU is not traced")
    if tracemalloc.is_tracing():
        raise Skip("memory is being traced already")
    allowed = LIMIT + COPIES * ITEM * _elements(problem) + SPARE
    if _columns(problem) < 2 * allowed:
        raise Skip("the problem is so small that no algorithm needs much memory")
    given = operands(problem, trial.seed, bias=True)
    for threads in THREADS:
        with settings(workspace_limit=LIMIT, threads=threads):
            kept, peak = _traced(trial, given)
        for what, found in (("kept", kept), ("allocated", peak)):
            if found > allowed:
                raise CheckFailure(
                    trial,
                    f"with workspace_limit = {LIMIT:,} and threads = {threads} the call {what} {found:,} "
                    f"bytes beyond operands and result; {allowed:,} are tolerated, copies included",
                )


def _elements(problem: Problem) -> int:
    """Return how many elements the image, padded, the weight and the output have."""
    rows, columns = (
        size + sum(sides) for size, sides in zip(problem.input_size, problem.padding, strict=True)
    )
    image = problem.batch * problem.in_channels * rows * columns
    return image + math.prod(problem.weight_shape) + math.prod(problem.output_shape)


def _columns(problem: Problem) -> int:
    """Return the bytes of a matrix with the window of each output in a column, as float32."""
    windows = problem.batch * math.prod(problem.output_size) * math.prod(problem.kernel_size)
    return 4 * windows * problem.in_channels


def _traced(trial: Trial, given: Operands) -> tuple[int, int]:
    """Return how many bytes NumPy kept after a first call, and the most that a second one allocated."""
    tracemalloc.start()
    try:
        result: Array = compute(trial, given)
        ours = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
        kept = sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([ours]).traces)
        kept -= result.nbytes
        tracemalloc.clear_traces()
        result = compute(trial, given)
        return kept, tracemalloc.get_traced_memory()[1] - result.nbytes
    finally:
        tracemalloc.stop()
