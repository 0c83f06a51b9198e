"""Launches kernels: each argument is written once, as its type and its value.

A kernel is compiled for the types, the first time that a plan launches it, and called with the values. Both
come from the same lines, in the order of the kernel's parameters.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from numba import types

from convhub.backend import Array, Problem

from .runtime import threads
from .runtime.compile import float_array
from .runtime.scratch import scratch, set_aside, shared_scratch
from .runtime.threads import Kernel, kernel
from .stage import Plan, Stage, Tile
from .vectors.half import sum_dtype

__all__ = [
    "FLAG", "INT", "INTEGERS", "TABLE", "ArrayTypes", "Prepared", "array_types", "code_argument", "launch",
    "launch_plain", "literals", "run_correlations", "run_reduction", "shared",
]  # fmt: skip

INT = types.int64
INTEGERS = types.Array(types.int64, 1, "C")
TABLE = types.Array(types.int64, 2, "C")
FLAG = types.boolean


#: Returns the address of what loads a source, by dtype and lanes: see `layout.loaders`.
Loader = Callable[[str, int], int]


class ArrayTypes(NamedTuple):
    """Numba's types of the arrays of one dtype."""

    flat: Any  # one dimension, contiguous
    images: Any  # four dimensions, any strides
    weights: Any  # five dimensions, the first of which are the groups
    sums: Any  # one dimension, contiguous, of the type in which numbers are summed


@functools.cache
def array_types(dtype: str) -> ArrayTypes:
    """Return Numba's types of the arrays of `dtype`."""
    flat, images, weights = (float_array(dtype, number) for number in (1, 4, 5))
    return ArrayTypes(flat, images, weights, float_array(sum_dtype(dtype).name, 1))


@functools.cache
def literals(*values: int) -> tuple[Any, ...]:
    """Return numbers for which a kernel is compiled, each as its type and its value."""
    return tuple(each for value in values for each in (types.literal(value), value))


class Prepared(NamedTuple):
    """The data of each call for a problem: computed once, since that takes longer than a tiny convolution."""

    problem: Problem
    plan: Plan
    run: Callable[..., None]
    types: ArrayTypes
    sums: Any  # NumPy's type of the sums
    narrow: bool  # whether numbers are stored in fewer bits than they are summed in
    literals: tuple[Any, ...]  # of the register tile
    reads_in_place: bool  # whether some stage does, if the source is contiguous
    ranges: int  # how many ranges each thread's tasks of one stage are cut into
    kernels: dict[Any, Kernel]  # compiled so far
    codes: dict[Loader, tuple[Any, int]]  # arguments for the addresses that loaders have returned so far
    result_shape: tuple[int, ...]
    grouped_weight: tuple[int, ...]  # (groups, K / groups, C / groups, R, S)
    nothing: Array  # empty, of the type of the sums
    zeros: Array | None  # the bias of a call without one; None where it would take much memory
    rewritten: Problem | None  # with the same result, and faster where the weight is contiguous
    only_compiles: Literal["", "likely", "all"] = ""  # kernels are compiled, and none is run


def launch(function: Any, prepared: Prepared, stage: Stage, tasks: int, *pairs: Any) -> None:
    """Run a kernel's tasks on several threads, with the scratch memory that a stage needs on each.

    Parameters
    ----------
    function : Numba function
        Its first parameters are the first and the last task, `watch` if it has one, and the two arrays of
        scratch memory: numbers and integers.
    *pairs
        Type and value of each parameter after these, in their order.
    """
    compiled = prepared.kernels.get(function)
    if compiled is None:
        compiled = _compiled(function, prepared, (prepared.types.sums, INTEGERS), pairs)
        if prepared.only_compiles:  # and so keeps no kernel, and always comes here
            return
    count = prepared.plan.threads
    memory = scratch(stage.items, stage.integers, prepared.sums, count)
    threads.run(compiled, tasks, count, memory, pairs[1::2], prepared.ranges)


def launch_plain(function: Any, prepared: Prepared, tasks: int, *pairs: Any) -> None:
    """Run the tasks of a kernel without scratch memory, whose sums take many times longer."""
    compiled = prepared.kernels.get(function)
    if compiled is None:
        compiled = _compiled(function, prepared, (), pairs)
        if prepared.only_compiles:
            return
    count = prepared.plan.threads
    ranges = threads.ranges_for(8 * prepared.problem.macs, count)
    threads.run(compiled, tasks, count, (), pairs[1::2], ranges)


#: Compiled kernels by function, dtype and register tile, which determine the types of arguments.
_kernels: dict[tuple[Any, str, Tile], Kernel] = {}


def _compiled(function: Any, prepared: Prepared, scratch_types: tuple[Any, ...], pairs: Any) -> Kernel:
    """Return the kernel for the types in `pairs`; the plan keeps it, so that it is found by one look-up.

    Handlers of signals run while a kernel is compiled, and may call convhub: they get scratch memory of their
    own, since that of this call may already hold packed weights.
    """
    key = (function, prepared.problem.dtype, prepared.plan.tile)
    compiled = _kernels.get(key)
    if compiled is None:
        with set_aside():
            compiled = _kernels[key] = kernel(function, scratch_types, *pairs[::2])
    if not prepared.only_compiles:
        prepared.kernels[function] = compiled
    return compiled


def shared(prepared: Prepared, stage: Stage) -> Array:
    """Return the scratch memory that all threads of a call share; it is empty where nothing runs."""
    items = 0 if prepared.only_compiles else stage.shared_items
    return shared_scratch(items, prepared.sums)


def code_argument(loader: Loader | None, prepared: Prepared) -> tuple[Any, ...]:
    """Return type and value of the argument for what a kernel calls by address, or no argument for None.

    To be called before scratch memory is taken, as `loader` may compile.
    """
    if loader is None:
        return ()
    argument = prepared.codes.get(loader)
    if argument is None:
        code = loader(prepared.problem.dtype, prepared.plan.tile.lanes)
        argument = prepared.codes[loader] = (INT, code)
    return argument


def run_correlations(
    function: Any,
    sizes: Any,
    loader: Loader | None,
    prepared: Prepared,
    out: Array,
    source: Array,
    weight: Array,
    bias: Array,
) -> None:
    """Run every stage of a forward or grad_input plan with a kernel like `gemm.kernels.correlate`.

    Contiguous arrays are also passed flattened, for the stages that use them in place. For others the bias is
    passed as a placeholder that is not read.
    """
    kinds, stages, in_place = prepared.types, prepared.plan.stages, not prepared.narrow
    code = code_argument(loader, prepared)
    source_in_place = in_place and source.flags.c_contiguous and prepared.reads_in_place
    weight_in_place = in_place and weight.flags.c_contiguous
    flat_out = out.reshape(-1)
    flat_source = source.reshape(-1) if source_in_place else bias
    flat_weight = weight.reshape(-1) if weight_in_place else bias
    for stage in stages:
        launch(
            function, prepared, stage, stage.tasks,
            kinds.flat, flat_out,
            kinds.images, source,
            kinds.sums, flat_source,
            kinds.weights, weight,
            kinds.sums, flat_weight,
            kinds.sums, bias,
            TABLE, stage.taps,
            TABLE, stage.phases,
            sizes, stage.sizes,
            *code,
            FLAG, source_in_place and stage.source_in_place,
            FLAG, weight_in_place and stage.weight_in_place,
            *prepared.literals,
        )  # fmt: skip


def run_reduction(
    function: Any, sizes: Any, loader: Loader | None, prepared: Prepared, dw: Array, dy: Array, x: Array
) -> None:
    """Run the stage of a grad_weight plan with a kernel like `gemm.kernels_weight.correlate`."""
    (stage,) = prepared.plan.stages
    kinds = prepared.types
    dy_in_place = dy.flags.c_contiguous and not prepared.narrow
    x_in_place = x.flags.c_contiguous and stage.source_in_place
    launch(
        function, prepared, stage, stage.tasks,
        kinds.flat, dw.reshape(-1),
        kinds.images, dy,
        kinds.sums, dy.reshape(-1) if dy_in_place else prepared.nothing,
        kinds.images, x,
        kinds.sums, x.reshape(-1) if x_in_place else prepared.nothing,
        TABLE, stage.taps,
        TABLE, stage.phases,
        sizes, stage.sizes,
        *code_argument(loader, prepared),
        FLAG, dy_in_place,
        FLAG, x_in_place,
        *prepared.literals,
    )  # fmt: skip
