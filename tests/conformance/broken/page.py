"""Writes the page of the documentation that says which check finds which fault."""

from __future__ import annotations

from pathlib import Path

from conformance import broken

from convhub.conformance.problems.cases import EDGES, LARGE, long_sums
from convhub.conformance.verify import CHECKS
from convhub.problem import Problem

__all__ = ["PATH", "PURPOSES", "first_finder", "render"]

PATH = Path(__file__).parents[3] / "docs" / "conformance-faults.md"

#: The purpose of each check that is never the first to find a fault.
PURPOSES = {
    "adjoint": "compares primitives with each other, so that it would also find errors of the oracle",
    "changed elements": "changes single elements, so that only all of an operand tells two apart",
    "primitives by turns": "lets each primitive find what another has left in memory",
    "public functions": "runs the functions that users call, with convhub's own part: the gradient of a bias",
    "agrees with torch": "compares with an independent implementation",
}

#: At most this many checks that find a fault without being required to are named; of more, only the number.
FEW = 4

HEAD = """\
# What the conformance suite finds

A suite that passes everything proves nothing. convhub's suite is itself tested: with {faults} realistic
faults, each in as many of the three primitives as can have it ({variants} broken backends in
all). Every one is found at level *quick*, and the tests say by which check. Correct backends that are built
in other ways (FFT, Winograd with tiles of 4x4, one einsum over all windows, index tables, compensated sums,
sums with twice as many bits, a pool of threads, a cache of packed operands, loops, torch) pass.

How much that says: the faults are the project's own, and where the suite missed one, it was extended until it
found it. A suite finds fewer of the faults that nobody thought of. Of 193 broken backends that its authors
had not seen, an earlier version found 121 at level *quick*. Of 435 that were later listed by somebody who
had not read the checks, the next version found 412 at once; the other 23, most of them single sizes, led to
further checks and layers. The present version has not been measured on faults that are new to it.

The faults are in `tests/conformance/broken/`, in one file for each kind below. The first command writes this
page, and the record with which the tests compare; the second tries every fault with five other seeds:

```sh
PYTHONPATH=tests .venv/bin/python -m conformance.broken.record
PYTHONPATH=tests .venv/bin/python -m conformance.broken.seeds
```

## Checks

*Must find* counts the faults that a test requires a check to find. On the problem where a fault is found
first, *first* counts the faults that no earlier check finds, in the order of this table, and *alone* the
faults that no other check finds.

| check | must find | first | alone |
| --- | --- | --- | --- |
{checks}

Some checks are never the first to find a fault, and have another purpose:

{purposes}

## Faults

A check in **bold** must find the fault in each of its primitives, or a test fails; the others find it in
each primitive too, on the named problem. The names of problems are those of
`convhub/conformance/problems/cases.py`; those without a name are there as their text.
"""

TAIL = """
## Not faults

These look like faults, but the contract in `convhub/backend.py` allows them. No check fails on them.

| behaviour | in |
| --- | --- |
{tolerated}

## What the suite does not detect

- What the process does not show: settings inside native libraries and of the C library's allocator, handlers
  that C code puts in place of another's, files that are left behind, output that is not written to file
  descriptors 1 and 2. [Check a backend](conformance.md#the-rest-of-the-process) lists what is compared.
- What a call changes and restores before it ends, as other threads see it; and what only the import of a
  backend's libraries changes or prints.
- Leaks of a few bytes per call, or of one object in several calls; memory that is kept for each new problem;
  leaks of native code where there is neither glibc 2.33 nor `/proc`.
- Temporary memory that neither NumPy nor Python allocates, and up to two copies of the arrays more than
  `workspace_limit` allows.
- More threads than `threads` allows, if that is not one; and several that take turns.
- Writes outside its own result: only memory around the operands is watched. Guard pages and sanitizers detect
  them.
- Sizes beyond 2**31 elements, and faults that occur only above the largest problems of the suite (some 10**7
  products).
- Races that cause a fault once in thousands of calls.
- What padding makes of an operand that is not finite: any outcome passes.
- Slowness.

The gradient of a bias is computed by convhub, not by backends. The corresponding fault, a constant that is
right for a gradient of ones, is among the faults above as a gradient that treats every `grad_output` as ones.
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
    """Return a problem's name, with its type if it is not every backend's; if it has none, its text."""
    for name, text in (*EDGES.items(), *LARGE.items()):
        if Problem.parse(f"{problem.primitive}_{problem.dtype}_{text}") == problem:
            large = " (large)" if (name, text) in LARGE.items() else ""
            special = "" if problem.dtype in ("float32", "float64") else f" in {problem.dtype}"
            return name + large + special
    if problem in long_sums(problem.primitive, problem.dtype):
        return f"a sum of {problem.terms:,} terms"
    return f"`{str(problem).removeprefix(f'{problem.primitive}_')}`"
