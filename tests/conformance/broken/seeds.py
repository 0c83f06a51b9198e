"""Whether every fault is found whatever the seed: run this to try all of them with five.

From the root of the repository, some minutes on two cores::

    PYTHONPATH=tests .venv/bin/python -m conformance.broken.seeds
"""

from __future__ import annotations

import multiprocessing
import os
import sys

from conformance import broken

from convhub.problem import Primitive, Problem

from . import record
from .faults import Fault

__all__ = ["SEEDS", "is_found"]

SEEDS = (1, 2, 3, 4, 5)


def is_found(fault: Fault, primitive: Primitive, seed: int) -> bool:
    """Return whether a check that must find a fault does on the recorded problem, or all on another."""
    caught = record.read()[fault.name][primitive]
    if record.failed(fault, primitive, Problem.parse(caught.problem), fault.checks, seed):
        return True
    return record.find(fault.name, primitive, seed) is not None


def _missed(name: str, primitive: Primitive) -> list[int]:
    fault, missed = broken.FAULTS[name], []
    for seed in SEEDS:
        if fault.remembers:  # each run of the suite finds its memory empty
            broken.unregister()
            broken.register()
        if not is_found(fault, primitive, seed):
            missed.append(seed)
    return missed


def _start() -> None:
    broken.register()


def main() -> None:
    """Try every fault with every seed; name those that are missed."""
    work = [(fault.name, primitive) for fault, primitive in broken.variants(broken.FAULTS)]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), _start) as pool:
        missed = pool.starmap(_missed, work, chunksize=1)
    for (name, primitive), seeds in zip(work, missed, strict=True):
        if seeds:
            print(f"{name} in {primitive} is missed with {', '.join(map(str, seeds))}")
    found = sum(not seeds for seeds in missed)
    print(f"{found} of {len(work)} broken backends are found with each of {len(SEEDS)} seeds")
    sys.exit(found < len(work))


if __name__ == "__main__":
    main()
