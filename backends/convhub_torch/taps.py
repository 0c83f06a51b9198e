"""Computes convolution tap by tap, leaving padding out, for operands with NaN or infinities."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from convhub.backend import Array, Problem

__all__ = ["forward_by_taps", "input_by_taps", "weight_by_taps"]


def forward_by_taps(x: Array, w: Array, problem: Problem) -> Array:
    """Return ``y``, (N, K, P, Q)."""
    x, w = _grouped(x, 1, problem), _grouped(w, 0, problem)
    y = x.new_zeros(problem.output_shape)
    grouped = _grouped(y, 1, problem)
    for r, down, from_rows in _taps(problem, 0):
        for s, right, from_cols in _taps(problem, 1):
            seen = x[..., from_rows, from_cols]
            grouped[..., down, right] += torch.einsum("ngchw,gkc->ngkhw", seen, w[..., r, s])
    return y


def input_by_taps(dy: Array, w: Array, problem: Problem) -> Array:
    """Return ``dx``, (N, C, H, W)."""
    dy, w = _grouped(dy, 1, problem), _grouped(w, 0, problem)
    dx = dy.new_zeros(problem.input_shape)
    grouped = _grouped(dx, 1, problem)
    for r, down, to_rows in _taps(problem, 0):
        for s, right, to_cols in _taps(problem, 1):
            seen = dy[..., down, right]
            grouped[..., to_rows, to_cols] += torch.einsum("ngkhw,gkc->ngchw", seen, w[..., r, s])
    return dx


def weight_by_taps(dy: Array, x: Array, problem: Problem) -> Array:
    """Return ``dw``, (K, C / groups, R, S)."""
    dy, x = _grouped(dy, 1, problem), _grouped(x, 1, problem)
    dw = x.new_zeros(problem.weight_shape)
    grouped = _grouped(dw, 0, problem)
    for r, down, from_rows in _taps(problem, 0):
        for s, right, from_cols in _taps(problem, 1):
            seen = x[..., from_rows, from_cols]
            grouped[..., r, s] = torch.einsum("ngkhw,ngchw->gkc", dy[..., down, right], seen)
    return dw


def _grouped(tensor: Array, channels: int, problem: Problem) -> Array:
    return tensor.unflatten(channels, (problem.groups, -1))


def _taps(problem: Problem, axis: int) -> Iterator[tuple[int, slice, slice]]:
    """Yield each tap of one axis: its number, the outputs that see the input, and the pixels they see."""
    stride, size = problem.stride[axis], problem.input_size[axis]
    for tap in range(problem.kernel_size[axis]):
        shift = tap * problem.dilation[axis] - problem.padding[axis][0]
        low = max(0, -(shift // stride))
        high = min(problem.output_size[axis], (size - 1 - shift) // stride + 1)
        if low < high:
            yield tap, slice(low, high), slice(low * stride + shift, (high - 1) * stride + shift + 1, stride)
