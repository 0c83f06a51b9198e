"""Says what an algorithm is: a value, which the planner reads and the engine runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from convhub.backend import Accuracy, Problem, RunOptions

from .options import Options
from .stage import Plan, Tile

__all__ = ["Algorithm", "Machine", "fits_one_thread"]


class Machine(NamedTuple):
    """What plans depend on besides the problem and the threads: vectors, and settings."""

    tile: Tile  # the register tile that most kernels use, for the problem's sums
    options: RunOptions
    engine_options: Options


@dataclass(frozen=True)
class Algorithm:
    """One way to run some of the primitives.

    Parameters
    ----------
    name : str
        What `convhub explain` prints.
    primitives : tuple of str
        Those that it runs.
    summary : str
        What it suits; the row of the table in the documentation.
    plan : function
        ``plan(problem, machine, threads)`` returns a `Plan`, or None where the algorithm does not suit the
        problem. Neither this nor the blocks of terms, which decide the bits, may depend on the threads. Where
        a plan does not fit the workspace limit, `direct` runs; an algorithm that would rather leave the
        problem to the next one returns None by `fits_one_thread`.
    run : function
        ``run(prepared, out, source, weight, bias)``, or ``run(prepared, dw, dy, x)`` for grad_weight: fills
        its first array. Arrays are as the engine stores them, the weight by groups, the bias of the type of
        the sums.
    accuracy : str
        The class of its rounding errors; see `convhub.backend.Accuracy`.
    saving : int
        About how many times fewer multiply-adds than the plain sums it takes: it decides when threads pay.
    rewrite : function, optional
        ``rewrite(problem)`` returns a problem with the same result, which a plan of its own runs faster where
        the weight is contiguous; or None.
    """

    name: str
    primitives: tuple[str, ...]
    summary: str
    plan: Callable[[Problem, Machine, int], Plan | None]
    run: Callable[..., None]
    accuracy: Accuracy = "componentwise"
    saving: int = 1
    rewrite: Callable[[Problem], Problem | None] | None = None


def fits_one_thread(plan: Plan, machine: Machine) -> bool:
    """Say whether a plan for one thread fits: threads must not choose the algorithm, and with it the bits."""
    return plan.scratch_bytes <= machine.options.workspace_limit
