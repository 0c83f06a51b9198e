"""Launches the kernels of the implicit matrix product."""

from __future__ import annotations

from convhub.backend import Array

from ...launch import TABLE, Prepared, code_argument, launch, shared
from ...layout.loaders import pixels_code
from ...runtime.compile import sizes_of
from ...tiling import ceil_div
from . import kernels, kernels_weight

__all__ = ["run", "run_weight"]

SIZES = sizes_of(kernels.Sizes)
WEIGHT_SIZES = sizes_of(kernels_weight.Sizes)


def run(prepared: Prepared, out: Array, source: Array, weight: Array, bias: Array) -> None:
    """Pack the weight once for all threads, then run the tiles."""
    kinds, plan = prepared.types, prepared.plan
    (stage,) = plan.stages
    loader = code_argument(pixels_code, prepared)
    packed = shared(prepared, stage)
    panels = ceil_div(stage.sizes.out_channels, plan.tile.width)
    launch(
        kernels.pack_weights, prepared, stage, prepared.problem.groups * panels,
        kinds.sums, packed,
        kinds.weights, weight,
        TABLE, stage.taps,
        TABLE, stage.phases,
        SIZES, stage.sizes,
        *prepared.literals[2:],  # without the height, a type and a value
    )  # fmt: skip
    launch(
        kernels.correlate, prepared, stage, stage.tasks,
        kinds.flat, out.reshape(-1),
        kinds.images, source,
        kinds.sums, packed,
        kinds.sums, bias,
        TABLE, stage.taps,
        TABLE, stage.phases,
        SIZES, stage.sizes,
        *loader,
        *prepared.literals,
    )  # fmt: skip


def run_weight(prepared: Prepared, dw: Array, dy: Array, x: Array) -> None:
    """Reduce pixels to the gradient of the weight."""
    kinds = prepared.types
    (stage,) = prepared.plan.stages
    launch(
        kernels_weight.correlate, prepared, stage, stage.tasks,
        kinds.flat, dw.reshape(-1),
        kinds.images, dy,
        kinds.images, x,
        WEIGHT_SIZES, stage.sizes,
        *code_argument(pixels_code, prepared),
        *prepared.literals,
    )  # fmt: skip
