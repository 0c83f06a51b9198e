"""A convolution and its adjoints by tables that say which pixel and which weight meet.

The tables of `right_map` are right; those of the faults of geometry are not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from convhub.backend import Backend, Capabilities

from .widths import DTYPES, narrow, widen

__all__ = ["ABSENT", "IndexMap", "backend", "compute", "inside", "positions", "right_map"]

#: Stands in a table where there is no pixel: the last row and column of an image that has one zero more.
ABSENT = -1


class IndexMap(NamedTuple):
    """Which pixels and weights meet in each output.

    rows : (P, R), columns : (Q, S)
        Of the image, or `ABSENT`.
    channels : (K, C / groups)
        Of the image, for each output channel.
    weights : (C / groups, R, S)
        Where in a kernel, read as it lies, the weight of a channel and a tap is.
    """

    rows: np.ndarray
    columns: np.ndarray
    channels: np.ndarray
    weights: np.ndarray


def positions(problem, axis, *, stride=None, dilation=None, before=None):
    """Return at which pixel of an axis each output meets each tap, also beyond the image."""
    stride = problem.stride[axis] if stride is None else stride
    dilation = problem.dilation[axis] if dilation is None else dilation
    before = problem.padding[axis][0] if before is None else before
    outputs, taps = np.arange(problem.output_size[axis]), np.arange(problem.kernel_size[axis])
    return outputs[:, None] * stride + taps * dilation - before


def inside(problem, axis, found):
    """Return positions with `ABSENT` in place of those beyond the image."""
    return np.where((found >= 0) & (found < problem.input_size[axis]), found, ABSENT)


def right_map(problem) -> IndexMap:
    """Return the tables that are right."""
    per_group = problem.group_channels[0]
    groups = np.arange(problem.out_channels) // (problem.group_channels[1])
    return IndexMap(
        inside(problem, 0, positions(problem, 0)),
        inside(problem, 1, positions(problem, 1)),
        groups[:, None] * per_group + np.arange(per_group),
        np.arange(per_group * np.prod(problem.kernel_size)).reshape(per_group, *problem.kernel_size),
    )


def compute(tables: IndexMap, first, second, bias, problem):
    """Return what the problem's primitive gives with these tables, in the operands' type."""
    function = {"forward": _forward, "grad_input": _grad_input, "grad_weight": _grad_weight}
    result = function[problem.primitive](tables, first, second, problem)
    return result if bias is None else result + bias[:, None, None]


def _taps(problem):
    """Yield each output channel with each tap."""
    return np.ndindex(problem.out_channels, *problem.kernel_size)


def _kernels(tables, w):
    return w.reshape(len(w), -1)[:, tables.weights]


def _place(tables, k, r, s):
    """Return the index of what one output channel and tap see: (N, C / groups, P, Q)."""
    channels = tables.channels[k][:, None, None]
    return (slice(None), channels, tables.rows[:, r][:, None], tables.columns[:, s])


def _forward(tables, x, w, problem):
    image = np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1)))
    kernels, y = _kernels(tables, w), np.zeros(problem.output_shape, x.dtype)
    for k, r, s in _taps(problem):
        y[:, k] += np.einsum("ncpq,c->npq", image[_place(tables, k, r, s)], kernels[k, :, r, s])
    return y


def _grad_input(tables, dy, w, problem):
    N, C, H, W = problem.input_shape
    kernels, dx = _kernels(tables, w), np.zeros((N, C, H + 1, W + 1), dy.dtype)
    for k, r, s in _taps(problem):
        np.add.at(dx, _place(tables, k, r, s), dy[:, k, None] * kernels[k, :, r, s][:, None, None])
    return dx[..., :H, :W].copy()


def _grad_weight(tables, dy, x, problem):
    image = np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1)))
    kernels = np.zeros(problem.weight_shape, x.dtype)
    for k, r, s in _taps(problem):
        kernels[k, :, r, s] = np.einsum("npq,ncpq->c", dy[:, k], image[_place(tables, k, r, s)])
    dw = np.zeros((problem.out_channels, tables.weights.size), x.dtype)
    np.add.at(dw, (np.arange(problem.out_channels)[:, None, None, None], tables.weights), kernels)
    return dw.reshape(problem.weight_shape)


# --- the backend that has the right tables ----------------------------------------------------------------


def _gathered(first, second, bias, problem):
    return narrow(compute(right_map(problem), widen(first), widen(second), widen(bias), problem), problem)


def gather_forward(x, w, bias, problem, options):
    return _gathered(x, w, bias, problem)


def gather_grad_input(dy, w, bias, problem, options):
    return _gathered(dy, w, bias, problem)


def gather_grad_weight(dy, x, problem, options):
    return _gathered(dy, x, None, problem)


backend = Backend(
    "gather", Capabilities(dtypes=DTYPES), gather_forward, gather_grad_input, gather_grad_weight
)
