"""Launches the kernels of Winograd's algorithm, and those that recompute elements that are not finite."""

from __future__ import annotations

import math

import numpy as np

from convhub.backend import Array, Problem

from ...launch import INT, INTEGERS, Prepared, code_argument, launch, launch_plain, shared
from ...layout.loaders import pixels_code
from ...runtime.compile import sizes_of
from ...tiling import ceil_div
from . import kernels, kernels_weight
from .recompute import Geometry, recompute, recompute_weight
from .transform_codes import transform_codes, weight_transform_codes

__all__ = ["run", "run_weight"]

SIZES = sizes_of(kernels.Sizes)
WEIGHT_SIZES = sizes_of(kernels_weight.Sizes)
GEOMETRY = sizes_of(Geometry)


def run(prepared: Prepared, out: Array, source: Array, weight: Array, bias: Array) -> None:
    """Transform the weight once for all threads, then run the tiles, then recompute non-finite outputs."""
    problem, plan, kinds = prepared.problem, prepared.plan, prepared.types
    (stage,) = plan.stages
    codes = transform_codes(prepared.sums.name, plan.details, plan.tile.lanes)
    loader = code_argument(pixels_code, prepared)
    transformed, flags = shared(prepared, stage), np.zeros(1, np.int64)
    panels = ceil_div(stage.sizes.out_channels, plan.tile.width)
    launch(
        kernels.transform_weights, prepared, stage, problem.groups * panels * stage.sizes.channel_blocks,
        kinds.sums, transformed,
        kinds.weights, weight,
        SIZES, stage.sizes,
        INT, codes.kernel,
        *prepared.literals[2:],  # without the height, a type and a value
    )  # fmt: skip
    launch(
        kernels.correlate, prepared, stage, stage.tasks,
        kinds.flat, out.reshape(-1),
        INTEGERS, flags,
        kinds.images, source,
        kinds.sums, transformed,
        kinds.sums, bias,
        SIZES, stage.sizes,
        *loader,
        INT, codes.source,
        INT, codes.output,
        *prepared.literals,
    )  # fmt: skip
    if flags[0] or prepared.only_compiles == "all":
        launch_plain(
            recompute, prepared, out.shape[0] * out.shape[1],
            kinds.images, out,
            kinds.images, source,
            kinds.weights, weight,
            kinds.sums, bias,
            GEOMETRY, _geometry(problem),
        )  # fmt: skip


def run_weight(prepared: Prepared, dw: Array, dy: Array, x: Array) -> None:
    """Reduce the tiles to the gradient of the weight, then recompute non-finite elements."""
    problem, plan, kinds = prepared.problem, prepared.plan, prepared.types
    (stage,) = plan.stages
    codes = weight_transform_codes(prepared.sums.name, plan.details, plan.tile.lanes)
    loader = code_argument(pixels_code, prepared)
    flags = np.zeros(1, np.int64)
    launch(
        kernels_weight.correlate, prepared, stage, stage.tasks,
        kinds.flat, dw.reshape(-1),
        INTEGERS, flags,
        kinds.images, dy,
        kinds.images, x,
        INT, math.prod(problem.kernel_size),
        WEIGHT_SIZES, stage.sizes,
        *loader,
        INT, codes.source,
        INT, codes.gradient,
        INT, codes.kernel,
        *prepared.literals,
    )  # fmt: skip
    if flags[0] or prepared.only_compiles == "all":
        launch_plain(
            recompute_weight, prepared, dw.shape[0] * dw.shape[1],
            kinds.images, dw,
            kinds.images, dy,
            kinds.images, x,
            GEOMETRY, _geometry(problem),
        )  # fmt: skip


def _geometry(problem: Problem) -> Geometry:
    (top, _), (left, _) = problem.padding
    return Geometry(
        *problem.stride, *problem.dilation, top, left, spread=int(problem.primitive == "grad_input")
    )
