"""Run every kernel of the backend `cupy`, in every type of elements, on problems that are small.

A script for compute-sanitizer, under which a kernel is a hundred times slower::

    compute-sanitizer --tool racecheck python tests/gpu/sanitizer_run.py

Which problems reach which kernels is the planner's business and is not written down here. Every candidate is
planned by the engine on a runtime that launches nothing, and those are kept that reach a variant of a kernel
that none before did. At the end every kernel of `every_source` must have run, in every type, or the exit code
is 1; but for those that the planner has for devices of other compute capabilities, which are named.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import convhub_cupy
import numpy as np
from convhub_cupy import engine
from convhub_cupy.plan.variants import Source
from convhub_cupy.planner import every_source

from convhub.arrays import numpy_dtype
from convhub.backend import RunOptions
from convhub.conformance.calls import deliver
from convhub.problem import PRIMITIVES, Problem
from convhub.reference.operands import operands

(BACKEND,) = convhub_cupy.convhub_backends()

#: Sizes that are no multiple of a tile, so that every edge is cut; first those that most kernels may take. Of
#: the first, grad_weight adds up the pixels in parts.
GEOMETRIES = (
    "n5c10h21w20_k11r3s3_pad1",
    "n2c6h11w13_k6r3s2_stride2x1_dilation1x2_pad1x0_groups6",
    "n2c32h9w7_k40r3s3_pad1",
    "n2c40h9w11_k36r1s1",
    "n1c28h15w17_k125r3s3_pad1",
    "n1c32h15w17_k125r1s1",
    "n2c24h9w7_k40r3s3_stride2_pad1_groups2",
    "n2c70h7w9_k67r2s3_stride2x1_dilation1x2_pad2x1",
    "n2c3h21w19_k17r5s5_stride2_pad2",
    "n2c2h9w11_k2r3s2_pad1",
)

#: Of the devices that the planner is asked about: one of each kind that kernels are compiled for.
CAPABILITIES = ((7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0))


class Kernel(NamedTuple):
    """A kernel in one type of elements, whatever its tile and the type of its indices."""

    file: str
    name: str
    element: str


class Case(NamedTuple):
    """A problem under some options."""

    problem: Problem
    options: RunOptions

    def __str__(self) -> str:
        own = [] if self.options.backend is None else [str(self.options.backend)]
        tf32 = ["TF32"] if self.options.allow_tf32 else []
        workspace = [] if self.options.workspace_limit else ["no workspace"]
        return " ".join([str(self.problem), *tf32, *workspace, *own])


class Recorder:
    """A runtime that notes what is launched, and hands it on to another or not.

    Where it does not, arrays are NumPy's: planning takes no memory of the device. `capability` is what it
    says of the device, if that is not what the other says.
    """

    def __init__(self, runtime: Any, *, runs: bool, capability: tuple[int, int] | None = None):
        self.runtime, self.runs = runtime, runs
        self.launched: list[Source] = []
        if not runs:
            self.xp = np
        if capability is not None:
            self.capability = capability

    def __getattr__(self, name: str) -> Any:
        return getattr(self.runtime, name)

    def launch(self, source: Source, *arguments: Any, **rest: Any) -> None:
        self.launched.append(source)
        if self.runs:
            self.runtime.launch(source, *arguments, **rest)


def kernel_of(source: Source) -> Kernel:
    """Return which kernel a source is a variant of."""
    (element,) = (option.partition("=")[2] for option in source.options if option.startswith("-DELEMENT="))
    return Kernel(source.file, source.name, element)


def every_kernel() -> set[Kernel]:
    """Return each that the planner may launch."""
    return {kernel_of(source) for source in every_source()}


def candidates() -> Iterator[Case]:
    """Return every problem, in every type and under all options; plain ones first."""
    texts = itertools.product(BACKEND.capabilities.dtypes_of("forward"), GEOMETRIES, PRIMITIVES)
    problems = [Problem.parse(f"{primitive}_{dtype}_{geometry}") for dtype, geometry, primitive in texts]
    for own in own_options():
        for problem in problems:
            yield Case(problem, RunOptions(backend=own))
            if problem.dtype == "float32":
                yield Case(problem, RunOptions(backend=own, allow_tf32=True))
            yield Case(problem, RunOptions(backend=own, workspace_limit=0))


def own_options() -> list[Any]:
    """Return the backend's own options: by default, then each other value of each that has a few."""
    if BACKEND.options is None:
        return [None]
    made = [BACKEND.options()]
    types = typing.get_type_hints(BACKEND.options)
    for field in dataclasses.fields(BACKEND.options):
        values: Iterable[Any] = ()
        if typing.get_origin(types[field.name]) is Literal:
            values = typing.get_args(types[field.name])
        elif types[field.name] is bool:
            values = (False, True)
        made += [
            dataclasses.replace(made[0], **{field.name: value})
            for value in values
            if value != getattr(made[0], field.name)
        ]
    return made


def run(case: Case, runtime: Any, arrays: Sequence[Any]) -> Any:
    """Have the engine do one case."""
    return getattr(engine, case.problem.primitive)(*arrays, case.problem, case.options, runtime)


def choose(runtime: Any, capability: tuple[int, int] | None = None) -> tuple[list[Case], set[Source]]:
    """Return cases that reach every variant that any candidate does, and these variants; nothing is run."""
    chosen, reached = [], set()
    for case in candidates():
        recorder = Recorder(runtime, runs=False, capability=capability)
        run(case, recorder, unfilled(case.problem))
        if not reached.issuperset(recorder.launched):
            chosen.append(case)
            reached.update(recorder.launched)
    return chosen, reached


def unfilled(problem: Problem) -> list[np.ndarray]:
    """Return operands for a problem whose numbers do not matter."""
    shapes = (*problem.operand_shapes, *([problem.bias_shape] if problem.bias_shape else []))
    return [np.empty(shape, numpy_dtype(problem.dtype)) for shape in shapes]


def filled(problem: Problem) -> list[np.ndarray]:
    """Return operands, with a bias where there may be one."""
    given = operands(problem, seed=0, bias=True)
    return list(given[:2] if problem.primitive == "grad_weight" else given)


def run_all(runtime: Any, library: str, say: Callable[[str], object] = print) -> set[Source]:
    """Run the cases on arrays of a library, and return the variants that ran."""
    ran: set[Source] = set()
    for case in choose(runtime)[0]:
        recorder = Recorder(runtime, runs=True)
        run(case, recorder, [deliver(array, library) for array in filled(case.problem)])
        ran.update(recorder.launched)
        say(f"{case}: {', '.join(dict.fromkeys(source.name for source in recorder.launched))}")
    return ran


def missing(ran: set[Source], runtime: Any) -> tuple[list[Kernel], list[Kernel]]:
    """Return the kernels that have not run: those for other devices, and those that no candidate reaches."""
    absent = every_kernel() - set(map(kernel_of, ran))
    if not absent:
        return [], []
    elsewhere = {kernel_of(s) for capability in CAPABILITIES for s in choose(runtime, capability)[1]}
    return sorted(absent & elsewhere), sorted(absent - elsewhere)


def report(runtime: Any, library: str) -> int:
    """Run all, say which kernels ran and which did not, and return the exit code."""
    ran = run_all(runtime, library)
    others, unreached = missing(ran, runtime)
    for kernel in others:
        print(f"not for this device: {' '.join(kernel)}")
    for kernel in unreached:
        print(f"not reached by any candidate: {' '.join(kernel)}", file=sys.stderr)
    print(f"{len(set(map(kernel_of, ran)))} of {len(every_kernel())} kernels ran, in {len(ran)} variants")
    return int(bool(unreached))


def main() -> int:
    """Run all on the current device."""
    import cupy
    from convhub_cupy.runtime.cupy_runtime import cupy_runtime

    # Each array gets memory of its own from the driver, which knows where it ends; a pool's ends elsewhere.
    cupy.cuda.set_allocator(None)
    code = report(cupy_runtime(), "cupy")
    cupy.cuda.Device().synchronize()
    return code


if __name__ == "__main__":
    sys.exit(main())
