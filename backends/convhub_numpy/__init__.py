"""The backend ``numpy``: convolution by matrix products, in bounded memory.

Forward and grad_input write the pixels that each result gathers into the columns of a matrix, one tile
of the result at a time, and multiply the weights by it (im2col); grad_weight multiplies by the same
columns transposed. A 1 by 1 kernel needs no columns: the pixels are used in place. Convolutions of one or
two channels a group (depthwise ones) multiply and add tap by tap instead: over padded images laid out line
by line, where there is room (`convhub_numpy.bands`).

Memory
    At most ``options.workspace_limit`` beyond operands and result. The least it needs is 64 KiB, or a
    few times the weights of one output channel (of one input channel, for grad_input) if that is more.
Threads
    ``options.threads`` threads of the engine. The BLAS's number of threads cannot be set from here, and
    is not used: products are cut into pieces that a BLAS computes on the calling thread
    (`convhub_numpy.products`). So the bits depend on neither number.
Speed
    Operands with NaN or infinities are computed tap by tap where there is padding, many times slower.
"""

from __future__ import annotations

from convhub.backend import Backend, Capabilities, Problem, RunOptions, hookimpl

from .dtypes import DTYPES
from .gather import forward, grad_input
from .plans import gather_plan, weight_plan
from .weight import grad_weight

__all__ = ["convhub_backends", "convhub_contract"]

#: The version of the contract in `convhub.backend` that this backend was written for.
convhub_contract = 1


def algorithm(problem: Problem, options: RunOptions) -> str:
    """Name the algorithm: ``taps``, ``bands``, ``matmul`` (pixels in place) or ``im2col``."""
    if problem.primitive == "grad_weight":
        by_weight = weight_plan(problem, options.workspace_limit)
        if by_weight.by_taps:
            return "bands" if by_weight.bands else "taps"
        return "matmul" if by_weight.pointwise else "im2col"
    plan = gather_plan(problem, options.workspace_limit)
    if plan.by_taps:
        return "bands" if any(phase.bands for phase in plan.phases) else "taps"
    return "matmul" if all(phase.identity for phase in plan.phases) else "im2col"


@hookimpl
def convhub_backends() -> list[Backend]:
    """Return the backend ``numpy``."""
    return [
        Backend(
            "numpy",
            Capabilities(dtypes=DTYPES),
            forward,
            grad_input,
            grad_weight,
            algorithm=algorithm,
            preference={"cpu": 20},
            summary="matrix products in bounded memory; needs only NumPy",
        )
    ]
