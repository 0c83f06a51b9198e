"""Record the bits of results, so that a change of layout can show that it changes none.

    PYTHONPATH=tests python -m support.record_bits before.json
    PYTHONPATH=tests python -m support.record_bits after.json --compare before.json

It records the guarded cases of the numba engine (every algorithm, dtype and vector width), and problems of
the conformance suite on each backend that takes NumPy arrays. The bits hold for one machine and one set of
libraries, so the files are not kept.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from convhub.backend import Backend, Problem, RunOptions
from convhub.conformance.problems.cases import crossed, edges, taps
from support import guarded_cases
from support.guarded_run import operands_of

#: The largest problem of each backend, in multiply-accumulates; naive computes them one after another.
MOST_MACS = {"naive": 20_000, "numpy": 10**8, "numba": 10**9}


def digest(backend: Backend, problem: Problem, options: RunOptions, seed: int) -> str:
    """Return a digest of a backend's result for random operands."""
    operands = operands_of(guarded_cases.Case(problem, options), np.random.default_rng(seed))
    result = getattr(backend, problem.primitive)(*operands, problem, options)
    return hashlib.sha256(np.asarray(result).tobytes()).hexdigest()[:16]


def recorded() -> Iterator[tuple[str, str]]:
    """Yield the name of each case with the digest of its result."""
    for name, most in MOST_MACS.items():
        backend = next(iter(importlib.import_module(f"convhub_{name}").convhub_backends()))
        own = backend.options() if backend.options else None
        problems = [*edges(("float32", "float64")), *crossed(("float32", "float16")), *taps(("float32",))]
        for index, problem in enumerate(each for each in problems if each.macs <= most):
            if backend.capabilities.refusal(problem) is None:
                yield f"{name} {problem}", digest(backend, problem, RunOptions(backend=own), index)
    numba = importlib.import_module("convhub_numba").convhub_backends()[0]
    for dtype in guarded_cases.DTYPES:
        for width in guarded_cases.WIDTHS:
            for index, (case, algorithm) in enumerate(guarded_cases.cases(dtype, width)):
                name = f"numba {width} {case} threads={case.options.threads}: {algorithm}"
                yield name, digest(numba, case.problem, case.options, index)


def main() -> None:
    """Write the digests, and say which differ from those of another run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--compare", type=Path)
    arguments = parser.parse_args()
    found = dict(recorded())
    arguments.output.write_text(json.dumps(found, indent=0))
    print(f"{len(found)} results recorded")
    if arguments.compare:
        before = json.loads(arguments.compare.read_text())
        names = before.keys() | found.keys()
        differing = sorted(name for name in names if before.get(name) != found.get(name))
        for name in differing:
            print(f"differs: {name}")
        if differing:
            raise SystemExit(1)
        print("all are equal")


if __name__ == "__main__":
    main()
