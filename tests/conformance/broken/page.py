"""The page of the documentation that says which fault is found by which check."""

from __future__ import annotations

from pathlib import Path

from conformance import broken

from convhub.conformance.problems.cases import EDGES, LARGE, long_sums
from convhub.conformance.verify import CHECKS
from convhub.problem import Problem

__all__ = ["PATH", "PURPOSES", "first_finder", "render"]

PATH = Path(__file__).parents[3] / "docs" / "conformance-faults.md"

#: Why a check is there that is never the first to find a fault.
PURPOSES = {
    "adjoint": "compares primitives with each other, so that it would find what the oracle has wrong too",
    "public functions": "runs what users call: convhub's own part too, which computes the gradient of a bias",
    "torch tensors": "runs it on torch's tensors, dense and strided, and through autograd",
    "agrees with torch": "is the opinion of others on what a convolution is",
}

#: Of checks that find a fault and need not, so many are named; of more, their number.
FEW = 4

HEAD = """\
# What the conformance suite finds

A suite that passes everything proves nothing. convhub's is itself tested: with {faults} backends that have
one realistic fault each, in as many of the three primitives as can have it ({variants} broken backends in
all). Every one is found at level *quick*, and the tests say by which check. Backends that are right and built
in other ways (FFT, one einsum over all windows, tables of indices, compensated sums, sums in twice as many
bits, loops, torch) pass.

The faults are in `tests/conformance/broken/`, a file for each kind below. This page, and the record that the
tests compare with, are written by

```sh
PYTHONPATH=tests .venv/bin/python -m conformance.broken.record
```

## Checks

*Must find* counts the faults that a test demands of a check. On the problem where a fault is found first,
*first* counts those that no earlier check finds there, checks running in this order, and *alone* those that
no other check does.

| check | must find | first | alone |
| --- | --- | --- | --- |
{checks}

Some checks are never the first, and have another purpose:

{purposes}

## Faults

A check in **bold** must find the fault in whichever primitive it is, or a test fails; the others find it in
each primitive too, on the problem that is named. Problems have the names that they have in
`convhub/conformance/problems/cases.py`.
"""

TAIL = """
## No faults

These look like faults, and are none by the contract of `convhub/backend.py`. No check fails on them.

| what | in |
| --- | --- |
{tolerated}

## What the suite does not see

- Memory that a backend never gives back, settings of the process that it changes, files that it leaves.
- Writes beyond its own result: only memory around the operands is watched. Guard pages and sanitizers see
  them.
- Sizes beyond 2**31 elements, and what shows only above the largest problems tried (some 10**7 products).
- A fault that a race brings about once in thousands of calls.
- Results that are subnormal; only operands are. Where an operand that is not finite meets padding, any
  outcome passes.
- Time.

The gradient of a bias is computed by convhub, not by backends. The seed's defect there, a constant that is
right for a gradient of ones, is among the faults as a gradient that takes every `grad_output` for ones.
"""


def first_finder(checks):
    """Return which of the checks that find a fault runs first."""
    return min(checks, key=list(CHECKS).index)


def render(record) -> str:
    """Return the text of the page."""
    variants = broken.variants(broken.FAULTS)
    head = HEAD.format(
        faults=len(broken.FAULTS),
        variants=len(variants),
        checks="\n".join(_row_of_check(record, check) for check in CHECKS),
        purposes="\n".join(f"- *{check}* {purpose}." for check, purpose in PURPOSES.items()),
    )
    kinds = "".join(_kind(record, kind) for kind in broken.KINDS if kind is not broken.tolerated)
    rows = [f"| {f.summary} | {_primitives(f)} |" for f in broken.TOLERATED.values()]
    return head + kinds + TAIL.format(tolerated="\n".join(rows))


def _row_of_check(record, check):
    must = [name for name, fault in broken.FAULTS.items() if check in fault.checks]
    first = [name for name in record if first_finder(_everywhere(record, name)) == check]
    alone = [name for name in record if _everywhere(record, name) == [check]]
    return f"| {check} | {len(must)} | {len(first)} | {len(alone)} |"


def _everywhere(record, name):
    """Return the checks that find a fault in each of its primitives."""
    return [check for check in CHECKS if all(check in caught.checks for caught in record[name].values())]


def _kind(record, kind):
    title, _, rest = kind.__doc__.partition("\n")[0].partition(": ")
    rows = [_row(record, f) for f in broken.FAULTS.values() if f.kind == kind.__name__.rpartition(".")[2]]
    heading = f"\n### {title.rstrip('.')}\n\n" + (f"{rest[0].upper()}{rest[1:]}\n\n" if rest else "")
    return heading + "| fault | in | found by | on |\n| --- | --- | --- | --- |\n" + "\n".join(rows) + "\n"


def _row(record, fault):
    others = [check for check in _everywhere(record, fault.name) if check not in fault.checks]
    checks = [f"**{check}**" for check in fault.checks]
    checks += others if len(others) <= FEW else [f"{len(others)} others"]
    problems = dict.fromkeys(_name(Problem.parse(caught.problem)) for caught in record[fault.name].values())
    what = f"`{fault.name}`: {fault.summary[0].lower()}{fault.summary[1:]}"
    return f"| {what} | {_primitives(fault)} | {', '.join(checks)} | {'; '.join(problems)} |"


def _primitives(fault):
    return "all" if len(fault.primitives) == 3 else ", ".join(fault.primitives)


def _name(problem: Problem) -> str:
    """Return the name under which a problem is tried, and its type if it is not every backend's."""
    for name, text in (*EDGES.items(), *LARGE.items()):
        if Problem.parse(f"{problem.primitive}_{problem.dtype}_{text}") == problem:
            large = " (large)" if (name, text) in LARGE.items() else ""
            special = "" if problem.dtype in ("float32", "float64") else f" in {problem.dtype}"
            return name + large + special
    if problem in long_sums(problem.primitive, problem.dtype):
        return f"a sum of {problem.terms:,} terms"
    raise LookupError(f"{problem} is in no table")
