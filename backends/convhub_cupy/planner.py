"""Lists the algorithms in the order in which they are tried, and plans a problem with the first to take it.

To add one: its kernels in `kernels/`, a module in `plan/` that says when it suits, and a line here.
CONTRIBUTING.md walks through it. The page `docs/gpu-engine.md` has a table that is made from these lists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from convhub.backend import Accuracy, Problem, bounded_cache

from . import launch, launch_tensor_cores
from .plan import depthwise, direct, grad_weight, implicit_gemm, tensor_cores, winograd
from .plan.plan import Plan, Settings
from .plan.variants import Source

__all__ = ["ALGORITHMS", "Algorithm", "describe", "every_source", "make_plan"]


@dataclass(frozen=True)
class Algorithm:
    """One way to compute a primitive.

    Parameters
    ----------
    name : str
        The name that `explain` prints.
    summary : str
        The layers that it is for: its row of the table in `docs/gpu-engine.md`.
    accuracy : {"componentwise", "normwise"}
        The class of its results.
    plan : callable
        Returns the plan for a problem, or None where the algorithm does not suit. It knows a device only
        by the settings.
    run : callable
        Launches the plan's kernels.
    sources : tuple of Source
        Every variant of every kernel that its plans launch.
    """

    name: str
    summary: str
    accuracy: Accuracy
    plan: Callable[[Problem, Settings], Plan | None]
    run: Callable[[Plan, launch.Call], None]
    sources: tuple[Source, ...]


_CORRELATIONS = (
    Algorithm(
        "tensor_gemm",
        "float16 and bfloat16 on tensor cores; grad_input as one product for each phase of the stride",
        "componentwise",
        tensor_cores.correlation_plan,
        launch_tensor_cores.correlate,
        tensor_cores.correlation_sources("float16", "bfloat16"),
    ),
    Algorithm(
        "tensor_gemm_tf32",
        "the same for float32 rounded to TF32, where `allow_tf32` is set",
        "componentwise",
        tensor_cores.correlation_plan_tf32,
        launch_tensor_cores.correlate,
        tensor_cores.correlation_sources("float32"),
    ),
    Algorithm(
        "winograd",
        "float32 with 3x3 taps, stride and dilation 1, and many channels",
        "normwise",
        winograd.correlation_plan,
        launch.winograd,
        winograd.SOURCES,
    ),
    Algorithm(
        "depthwise",
        "groups with one source channel",
        "componentwise",
        depthwise.correlation_plan,
        launch.correlate,
        depthwise.CORRELATION_SOURCES,
    ),
    Algorithm(
        "implicit_gemm",
        "other floating-point numbers: a matrix product, of grad_input one for each phase of the stride",
        "componentwise",
        implicit_gemm.correlation_plan,
        launch.implicit_gemm,
        implicit_gemm.SOURCES,
    ),
    Algorithm(
        "direct",
        "everything else: complex numbers, integers, sizes too large for one launch",
        "componentwise",
        direct.correlation_plan,
        launch.direct_correlate,
        direct.CORRELATION_SOURCES,
    ),
)

_GRADIENTS_OF_WEIGHT = (
    Algorithm(
        "depthwise",
        "groups with one source channel, and other small groups",
        "componentwise",
        depthwise.weight_plan,
        launch.grad_weight,
        depthwise.WEIGHT_SOURCES,
    ),
    Algorithm(
        "tensor_weight",
        "float16 and bfloat16 on tensor cores, in parts that are added up in a fixed order",
        "componentwise",
        tensor_cores.weight_plan,
        launch_tensor_cores.grad_weight,
        tensor_cores.weight_sources("float16", "bfloat16"),
    ),
    Algorithm(
        "tensor_weight_tf32",
        "the same for float32 rounded to TF32, where `allow_tf32` is set",
        "componentwise",
        tensor_cores.weight_plan_tf32,
        launch_tensor_cores.grad_weight,
        tensor_cores.weight_sources("float32"),
    ),
    Algorithm(
        "grad_weight",
        "other floating-point numbers, in parts that are added up in a fixed order: no atomics, and the same "
        "bits each time",
        "componentwise",
        grad_weight.weight_plan,
        launch.grad_weight_in_parts,
        grad_weight.SOURCES,
    ),
    Algorithm(
        "direct",
        "everything else: complex numbers, integers, no room in the workspace",
        "componentwise",
        direct.weight_plan,
        launch.direct_grad_weight,
        direct.WEIGHT_SOURCES,
    ),
)

#: For each primitive, in the order in which they are tried. The last takes any problem.
ALGORITHMS = {
    "forward": _CORRELATIONS,
    "grad_input": _CORRELATIONS,
    "grad_weight": _GRADIENTS_OF_WEIGHT,
}


@bounded_cache()
def make_plan(problem: Problem, settings: Settings) -> tuple[Algorithm, Plan]:
    """Return the first algorithm that takes a problem, and its plan."""
    for algorithm in ALGORITHMS[problem.primitive]:
        plan = algorithm.plan(problem, settings)
        if plan is not None:
            return algorithm, plan
    raise LookupError(f"no algorithm takes {problem}, and the last must take every problem")


def describe(algorithm: Algorithm, plan: Plan) -> str:
    """Return the algorithm's name, and after a comma how its work is divided."""
    return f"{algorithm.name}, {plan.described}"


def every_source() -> list[Source]:
    """Return every variant of every kernel that the planner may launch."""
    algorithms = [algorithm for listed in ALGORITHMS.values() for algorithm in listed]
    return list(dict.fromkeys(source for algorithm in algorithms for source in algorithm.sources))
