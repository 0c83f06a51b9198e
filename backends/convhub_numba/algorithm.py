"""Defines an algorithm: a value that the planner reads and the engine runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from convhub.backend import Accuracy, Problem, RunOptions

from .options import Options
from .stage import Plan, Tile

__all__ = ["Algorithm", "Machine", "fits_one_thread"]


class Machine(NamedTuple):
    """The inputs of a plan besides the problem and the threads: the vectors and the settings."""

    tile: Tile  # the register tile that most kernels use, for the problem's sums
    options: RunOptions
    engine_options: Options


@dataclass(frozen=True)
class Algorithm:
    """One way to run some of the primitives.

    Parameters
    ----------
    name : str
        The name that `convhub explain` prints.
    primitives : tuple of str
        The primitives that it runs.
    summary : str
        The layers that it suits: its row of the table in the documentation.
    plan : function
        ``plan(problem, machine, threads)`` returns a `Plan`, or None where the algorithm does not suit the
        problem. Neither this nor the blocks of terms, which decide the bits, may depend on the threads. Where
        a plan does not fit the workspace limit, `direct` runs; an algorithm that would rather leave the
        problem to the next one returns None by `fits_one_thread`.
    run : function
        ``run(prepared, out, source, weight, bias)``, or ``run(prepared, dw, dy, x)`` for grad_weight: fills
        its first array. Arrays are as the engine stores them, the weight split by groups, the bias in the
        type of the sums.
    accuracy : str
        The class of its rounding errors; see `convhub.backend.Accuracy`.
    saving : int
        About how many times fewer multiply-adds it takes than plain sums: decides when threads pay off.
    rewrite : function, optional
        ``rewrite(problem)`` returns a problem with the same result, which a separate plan runs faster where
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
    """Say whether the plan for one thread fits: threads must not decide the algorithm, and so the bits."""
    return plan.scratch_bytes <= machine.options.workspace_limit
