"""Runs cases against guard pages, in a process that may crash: ``guarded_run DTYPE WIDTH FIRST``.

A line of JSON before each case says which one starts, so that the reader knows which one crashed; the lines
after a case report its faults.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import convhub_numba
import numpy as np
from convhub_numba import backend

from convhub.reference.operands import fill
from support.guarded_cases import Case, cases
from support.guarded_memory import FILLING, MODES, Memory, guarded

Allocate = Callable[[Any, Any], np.ndarray]


def contiguous(values: np.ndarray, empty: Allocate) -> np.ndarray:
    placed = empty(values.shape, values.dtype)
    placed[...] = values
    return placed


def channels_last(values: np.ndarray, empty: Allocate) -> np.ndarray:
    if values.ndim < 4:
        return contiguous(values, empty)
    return contiguous(values.transpose(0, 2, 3, 1), empty).transpose(0, 3, 1, 2)


def turned_round(values: np.ndarray, empty: Allocate) -> np.ndarray:
    return np.flip(contiguous(np.flip(values), empty))


def spaced(values: np.ndarray, empty: Allocate) -> np.ndarray:
    """Return the values as every second element of an array, with NaN between them."""
    *others, last = values.shape
    placed = empty((*others, max(0, 2 * last - 1)), values.dtype)[..., ::2]
    placed[...] = values
    return placed


def bordered(values: np.ndarray, empty: Allocate) -> np.ndarray:
    """Return the values as the inner part of a larger image, surrounded by NaN."""
    if values.ndim < 4:
        return contiguous(values, empty)
    *others, rows, columns = values.shape
    placed = empty((*others, rows + 3, columns + 5), values.dtype)[..., 1:-2, 2:-3]
    placed[...] = values
    return placed


LAYOUTS = (channels_last, turned_round, spaced, bordered)


def plain_empty(shape: Any, dtype: Any) -> np.ndarray:
    array = np.empty(shape, dtype)
    array.view(np.uint8)[...] = FILLING
    return array


def operands_of(case: Case, generator: np.random.Generator) -> list[np.ndarray]:
    problem = case.problem
    shapes = problem.operand_shapes
    if problem.primitive != "grad_weight":
        shapes = (*shapes, problem.result_shape[1:2])
    return [fill(generator, shape, problem.dtype, "normal") for shape in shapes]


def faults(case: Case, mode: str, layout: Any, given: list[np.ndarray], expected: np.ndarray) -> list[str]:
    """Return the faults of a call whose operands, results and scratch memory touch guard pages."""
    memory = Memory(mode)
    placed = [layout(array, lambda *a: memory.empty(*a, what="an operand")) for array in given]
    with guarded(convhub_numba, memory):
        result = getattr(backend, case.problem.primitive)(*placed, case.problem, case.options)
    found = memory.check()
    if result.size and not memory.holds(result):
        found.append("the result was not made in guarded memory")
    if result.tobytes() != expected.tobytes():
        found.append("the result has other bits than between ordinary arrays")
    return found


def outcomes(dtype: str, width: int, start: int) -> Iterator[dict[str, Any]]:
    """Run the cases from `start` on, and yield a line before each, and one for each fault."""
    for index, (case, algorithm) in enumerate(cases(dtype, width)):
        if index < start:
            continue
        given = operands_of(case, np.random.default_rng(index))
        other = LAYOUTS[index % len(LAYOUTS)]
        tried = [(mode, contiguous) for mode in MODES]
        tried += [(mode, other) for mode in MODES[:2]]
        expected = {}
        for mode, layout in tried:
            at = {"index": index, "case": str(case), "memory": f"{mode}, {layout.__name__}"}
            yield at | {"algorithm": algorithm, "primitive": case.problem.primitive}
            if layout not in expected:
                views = [layout(array, plain_empty) for array in given]
                function = getattr(backend, case.problem.primitive)
                expected[layout] = function(*views, case.problem, case.options)
            for fault in faults(case, mode, layout, given, expected[layout]):
                yield at | {"fault": fault}


if __name__ == "__main__":
    for line in outcomes(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])):
        print(json.dumps(line), flush=True)
    print(json.dumps({"done": True}), flush=True)
