"""Computes the three primitives as products of spectra.

By the convolution theorem, with X the spectra of images and their phases, W of kernels and D of ``dy``, as
matrices at each frequency::

    Y  = X · W*ᵀ        sums over input channels and phases
    DX = D · W          sums over output channels
    DW = D*ᵀ · X        sums over images

The conjugates, W* and D*, make these correlations instead of convolutions. Results are computed block by
block, so that memory stays within its limit. Results that are not finite are recomputed tap by tap.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from convhub.backend import Array, Problem, RunOptions

from . import taps
from .grid import (
    by_group,
    images_on_grid,
    kernels_on_grid,
    outputs_on_grid,
    read_images,
    read_kernels,
    read_outputs,
)
from .plan import Plan, plan_of
from .spectra import from_spectrum, multiply_add, quiet, spectrum

__all__ = ["forward", "grad_input", "grad_weight"]


def forward(x: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``y``, (N, K, P, Q)."""
    y = np.zeros(problem.output_shape, problem.dtype)
    plan = plan_of(problem, options)
    if plan is not None:
        with quiet():
            transform_forward(x, w, y, problem, plan, options.threads)
    for n in _left_over(y, plan):
        y[n] = 0
        taps.add_forward(x[n], w, y[n], problem, options)
    return _with_bias(y, bias)


def grad_input(dy: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``dx``, (N, C, H, W)."""
    dx = np.zeros(problem.input_shape, problem.dtype)
    plan = plan_of(problem, options)
    if plan is not None:
        with quiet():
            transform_grad_input(dy, w, dx, problem, plan, options.threads)
    for n in _left_over(dx, plan):
        dx[n] = 0
        taps.add_grad_input(dy[n], w, dx[n], problem, options)
    return _with_bias(dx, bias)


def grad_weight(dy: Array, x: Array, problem: Problem, options: RunOptions) -> Array:
    """Return ``dw``, (K, C / groups, R, S)."""
    dw = np.zeros(problem.weight_shape, problem.dtype)
    plan = plan_of(problem, options)
    if plan is not None:
        with quiet():
            transform_grad_weight(dy, x, dw, problem, plan, options.threads)
    if _left_over(dw, plan):
        dw[...] = 0
        taps.add_grad_weight(dy, x, dw, problem, options)
    return dw


def _left_over(result: Array, plan: Plan | None) -> list[slice]:
    """Return the parts of the first axis to sum tap by tap: all without a plan, else those not finite."""
    every = [slice(n, n + 1) for n in range(len(result))]
    return [n for n in every if plan is None or not np.isfinite(result[n]).all()]


def _with_bias(result: Array, bias: Array | None) -> Array:
    if bias is not None:
        result += bias[:, None, None]
    return result


# Each of these writes to its third argument, which must be zero: there may be pixels that no window reaches,
# and there may be no images.


def transform_forward(x: Array, w: Array, y: Array, problem: Problem, plan: Plan, threads: int) -> None:
    """Write ``y``."""
    x, w, y = (by_group(array, axis, problem.groups) for array, axis in ((x, 1), (w, 0), (y, 1)))
    groups, images, inputs, outputs = plan.block.slices(problem)
    for g, n, k in product(groups, images, outputs):
        total = None
        for c in inputs:
            X = spectrum(images_on_grid(x[n, g, c], plan.grid), threads)
            W = spectrum(kernels_on_grid(w[g, k, c], plan.grid), threads)
            total = multiply_add(total, X, np.conjugate(W, out=W).swapaxes(-1, -2), threads)
        read_outputs(from_spectrum(total, plan.grid.shape, threads), y[n, g, k])


def transform_grad_input(dy: Array, w: Array, dx: Array, problem: Problem, plan: Plan, threads: int) -> None:
    """Write ``dx``."""
    dy, w, dx = (by_group(array, axis, problem.groups) for array, axis in ((dy, 1), (w, 0), (dx, 1)))
    groups, images, inputs, outputs = plan.block.slices(problem)
    for g, n, c in product(groups, images, inputs):
        total = None
        for k in outputs:
            D = spectrum(outputs_on_grid(dy[n, g, k], plan.grid), threads)
            W = spectrum(kernels_on_grid(w[g, k, c], plan.grid), threads)
            total = multiply_add(total, D, W, threads)
        read_images(from_spectrum(total, plan.grid.shape, threads), plan.grid, dx[n, g, c])


def transform_grad_weight(dy: Array, x: Array, dw: Array, problem: Problem, plan: Plan, threads: int) -> None:
    """Write ``dw``."""
    dy, x, dw = (by_group(array, axis, problem.groups) for array, axis in ((dy, 1), (x, 1), (dw, 0)))
    groups, images, inputs, outputs = plan.block.slices(problem)
    for g, k, c in product(groups, outputs, inputs):
        total = None
        for n in images:
            D = spectrum(outputs_on_grid(dy[n, g, k], plan.grid), threads)
            X = spectrum(images_on_grid(x[n, g, c], plan.grid), threads)
            total = multiply_add(total, np.conjugate(D, out=D).swapaxes(-1, -2), X, threads)
        if total is not None:
            read_kernels(from_spectrum(total, plan.grid.shape, threads), plan.grid, dw[g, k, c])
