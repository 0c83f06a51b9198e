"""Plans and launches plain loops."""

from __future__ import annotations

import numpy as np

from convhub.backend import Array, Problem

from ...algorithm import Machine
from ...correlation import correlations
from ...launch import INTEGERS, TABLE, Prepared, launch_plain
from ...stage import Plan
from . import kernels

__all__ = ["make_plan", "run", "run_weight"]


def make_plan(problem: Problem, machine: Machine, threads: int) -> Plan:
    """Return the plan of any problem, which has no stages."""
    return Plan("direct", machine.tile, threads, leaves_pixels=problem.primitive == "grad_input")


def run(prepared: Prepared, out: Array, source: Array, weight: Array, bias: Array) -> None:
    """Run each phase that some tap reaches."""
    kinds = prepared.types
    for part in correlations(prepared.problem, reached=True):
        rows, columns = part.rows, part.columns
        launch_plain(
            kernels.correlate, prepared, out.shape[0] * out.shape[1],
            kinds.images, out,
            kinds.images, source,
            kinds.weights, weight,
            kinds.sums, bias,
            TABLE, np.array(rows.taps, np.int64).reshape(-1, 2),
            TABLE, np.array(columns.taps, np.int64).reshape(-1, 2),
            INTEGERS, np.array((*rows[:3], *columns[:3], rows.source_step, columns.source_step)),
        )  # fmt: skip


def run_weight(prepared: Prepared, dw: Array, dy: Array, x: Array) -> None:
    """Sum each element of the weight's gradient by itself."""
    problem, kinds = prepared.problem, prepared.types
    launch_plain(
        kernels.grad_weight, prepared, dw.shape[0] * dw.shape[1],
        kinds.images, dw,
        kinds.images, dy,
        kinds.images, x,
        INTEGERS, np.array([problem.padding[0][0], problem.padding[1][0]]),
        INTEGERS, np.array([*problem.stride, *problem.dilation]),
    )  # fmt: skip
