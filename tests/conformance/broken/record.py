"""Which check finds which fault, on which quick problem: run this to renew record and page.

From the root of the repository, a few minutes on two cores::

    PYTHONPATH=tests .venv/bin/python -m conformance.broken.record
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import json
import multiprocessing
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from conformance import broken, correct
from conformance.broken import Fault

from convhub import plugins
from convhub.conformance.checks.process_state import restored
from convhub.conformance.checks.silence import captured
from convhub.conformance.plan import planned
from convhub.conformance.subjects import Subject
from convhub.conformance.verify import Finding, verify
from convhub.problem import Primitive, Problem
from convhub.reference.bounds import LONG

from . import page

__all__ = ["PATH", "Caught", "Record", "failed", "quick", "read"]

PATH = Path(__file__).with_name("caught.json")


class Caught(NamedTuple):
    """How one fault in one primitive is found at level quick.

    `problem` is the first on which every check that must find it does; `checks` are all that do so there.
    """

    problem: str
    checks: tuple[str, ...]


#: By fault, then primitive.
Record = Mapping[str, Mapping[str, Caught]]


def read() -> Record:
    """Return the record."""
    text = json.loads(PATH.read_text(encoding="utf-8"))
    return {
        name: {primitive: Caught(problem, tuple(checks)) for primitive, (problem, checks) in found.items()}
        for name, found in text.items()
    }


def lines(record: Record) -> str:
    """Return the text of a record: JSON, a line for each primitive."""
    blocks = []
    for name, found in record.items():
        rows = [f"  {json.dumps(primitive)}: {json.dumps(caught)}" for primitive, caught in found.items()]
        blocks.append(f" {json.dumps(name)}: {{\n" + ",\n".join(rows) + "\n }")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


@functools.cache
def quick() -> dict[Problem, tuple[str, ...]]:
    """Return the problems of level quick with their checks, which are the same for every broken backend.

    The broken backends are registered.
    """
    return planned("quick", Subject(broken.right_backend.name, "cpu"))


def failed(
    fault: Fault, primitive: Primitive, problem: Problem, checks: Iterable[str], seed: int = 0
) -> list[str]:
    """Return which of these checks find a fault on a problem.

    What remembers earlier calls is found after the calls of earlier checks, as it is when all run. What a
    fault changes of the process's state is restored, and what it prints is lost.
    """
    with contextlib.suppress(ImportError):
        importlib.import_module("torch")
    wanted = list(checks)
    order = quick()[problem]
    ran = order[: 1 + max(map(order.index, wanted))] if fault.remembers else wanted
    with restored(), captured():
        found = verify(problem, fault.backend_name(primitive), seed, checks=ran)
    return [f.check for f in found if f.outcome == "failed" and f.check in wanted]


def find(name: str, primitive: Primitive, seed: int = 0) -> Caught | None:
    """Return how a fault in a primitive is found with the data of a seed, or None if it is not."""
    fault = broken.FAULTS[name]
    for problem, checks in quick().items():
        if problem.primitive != primitive or not set(fault.checks) <= set(checks):
            continue
        # What remembers would not find its memory empty a second time.
        found = failed(fault, primitive, problem, checks if fault.remembers else fault.checks, seed)
        if set(fault.checks) <= set(found):
            return Caught(
                str(problem),
                tuple(found if fault.remembers else failed(fault, primitive, problem, checks, seed)),
            )
    return None


def false_alarms(name: str, problem: Problem, checks: tuple[str, ...]) -> list[Finding]:
    """Return what the checks of a problem find in a backend that is right."""
    return [finding for finding in verify(problem, name, checks=checks) if finding.outcome == "failed"]


def _start() -> None:
    broken.register()
    plugins.register(correct, "correct")


def main() -> None:
    """Try every fault, and what is right, on every core; write record and page, or name what went wrong."""
    work = [(fault.name, primitive) for fault, primitive in broken.variants(broken.FAULTS)]
    plugins.register(correct, "correct")
    # What the oracle says of long sums takes minutes, and not all of the backends add in blocks.
    right = [
        (name, problem, checks)
        for name in correct.BACKENDS
        for problem, checks in correct.planned_of(name).items()
        if problem.terms < LONG
    ]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), _start) as pool:
        results = pool.starmap(find, work, chunksize=1)
        alarms = pool.starmap(false_alarms, right, chunksize=20)
    record: dict[str, dict[str, Caught]] = {}
    for (name, primitive), found in zip(work, results, strict=True):
        if found is not None:
            record.setdefault(name, {})[primitive] = found
    missed = [f"{work[i][0]} in {work[i][1]} is not found" for i, found in enumerate(results) if not found]
    wrong = [*missed, *(f"false alarm: {finding}" for finding in itertools.chain(*alarms))]
    if wrong:
        sys.exit("\n".join(wrong))
    PATH.write_text(lines(record), encoding="utf-8")
    page.PATH.write_text(page.render(record), encoding="utf-8")


if __name__ == "__main__":
    main()
