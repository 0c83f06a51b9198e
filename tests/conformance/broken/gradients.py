"""Faults of gradients: right for a gradient of ones, for one image, or where windows do not overlap."""

from __future__ import annotations

import numpy as np

from convhub.problem import transposed_output_size

from .faults import fault

NUMBERS = ("random data", "positive data", "exact integers")


@fault(*NUMBERS, "adjoint", "torch tensors", on=("grad_input",))
def gradient_never_computed(right, dy, w, bias, problem, options):
    """Returns zeros for the gradient of the input."""
    return np.zeros(problem.result_shape, dy.dtype)


@fault(*NUMBERS, "adjoint", "public functions", on=("grad_input", "grad_weight"))
def gradient_of_ones_only(right, dy, other, bias, problem, options):
    """Treats every gradient as all ones."""
    return right(np.ones_like(dy), other, bias, problem, options)


@fault(*NUMBERS, on=("grad_input",))
def windows_overwrite(right, dy, w, bias, problem, options):
    """Wrong only if windows overlap: each tap overwrites the sums of others."""
    dx = np.zeros(problem.result_shape, dy.dtype)
    for r, s in np.ndindex(problem.kernel_size):
        tap, there = np.zeros_like(w), np.zeros_like(w)
        tap[..., r, s], there[..., r, s] = w[..., r, s], 1
        reached = right(np.ones_like(dy), there, None, problem, options) != 0
        dx = np.where(reached, right(dy, tap, None, problem, options), dx)
    return dx if bias is None else right(np.zeros_like(dy), w, bias, problem, options) + dx


@fault("every element", on=("grad_input",))
def unreached_pixels_unwritten(right, dy, w, bias, problem, options):
    """Leaves memory unwritten that no window reaches."""
    reached = right(np.ones_like(dy), np.ones_like(w), None, problem, options) != 0
    dx = np.empty(problem.result_shape, dy.dtype)
    np.copyto(dx, right(dy, w, bias, problem, options), where=reached)
    return dx


@fault(*NUMBERS, on=("grad_input",))
def output_padding_ignored(right, dy, w, bias, problem, options):
    """Leaves out the rows and columns that output_padding adds, if it is not 0."""
    dx = right(dy, w, bias, problem, options)
    for axis in (0, 1):
        without = transposed_output_size(
            problem.output_size[axis],
            problem.kernel_size[axis],
            problem.stride[axis],
            problem.padding[axis][0],
            0,
            problem.dilation[axis],
        )
        if without > 0:
            np.moveaxis(dx, axis + 2, 0)[without:] = 0
    return dx


@fault(*NUMBERS, on=("grad_weight",))
def gradient_of_the_first_image(right, dy, x, bias, problem, options):
    """Sums the gradient of the weight over the first image only."""
    return right(dy[:1], x[:1], bias, problem.replace(batch=len(x[:1])), options)


@fault(*NUMBERS, on=("grad_weight",))
def gradient_of_all_but_the_last_image(right, dy, x, bias, problem, options):
    """Sums the gradient of the weight over all images but the last, if there are several."""
    images = problem.batch - (problem.batch > 1)
    return right(dy[:images], x[:images], bias, problem.replace(batch=images), options)


@fault(*NUMBERS, on=("grad_weight",))
def gradient_divided_by_batch(right, dy, x, bias, problem, options):
    """Returns the mean over the batch instead of the sum."""
    dw = right(dy, x, bias, problem, options)
    return (dw / dw.dtype.type(max(1, problem.batch))).astype(dw.dtype)


@fault("random data", "exact integers", "agrees with torch", on=("grad_input", "grad_weight"))
def conjugated(right, dy, other, bias, problem, options):
    """Conjugates an operand, which convhub has already done."""
    return right(dy, other.conj(), bias, problem, options)


@fault(*NUMBERS, on=("grad_weight",))
def gradient_of_the_first_group(right, dy, x, bias, problem, options):
    """Wrong only with groups: returns the first group's gradient for every group."""
    dw = right(dy, x, bias, problem, options)
    first = dw[: problem.group_channels[1]]
    return np.tile(first, (problem.groups, 1, 1, 1))
