"""Defines a third-party backend for tests: correct, short, unlike the built-in ones (a sum over taps)."""

from __future__ import annotations

import numpy as np

from convhub.backend import Backend, Capabilities, hookimpl

convhub_contract = 1

DTYPES = ("float32", "float64", "complex64", "complex128", "int64")


def _taps(problem, padded):
    """Yield each tap (r, s) with the window of the padded image that it sees, as a view."""
    (P, Q), (R, S) = problem.output_size, problem.kernel_size
    (sh, sw), (dh, dw) = problem.stride, problem.dilation
    for r in range(R):
        for s in range(S):
            rows = slice(r * dh, r * dh + (P - 1) * sh + 1, sh)
            columns = slice(s * dw, s * dw + (Q - 1) * sw + 1, sw)
            yield r, s, padded[..., rows, columns]


def _grouped(array, groups, axis):
    shape = array.shape
    return array.reshape(*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])


def forward(x, w, bias, problem, options):
    G = problem.groups
    padded = _grouped(np.pad(x, ((0, 0), (0, 0), *problem.padding)), G, 1)
    weight = _grouped(w, G, 0)
    y = np.zeros((problem.batch, G, problem.out_channels // G, *problem.output_size), x.dtype)
    for r, s, window in _taps(problem, padded):
        y += np.einsum("ngcpq,gkc->ngkpq", window, weight[..., r, s])
    y = y.reshape(problem.output_shape)
    return y if bias is None else y + bias[:, None, None]


def grad_input(dy, w, bias, problem, options):
    G, (H, W) = problem.groups, problem.input_size
    (top, bottom), (left, right) = problem.padding
    padded = np.zeros(
        (problem.batch, G, problem.in_channels // G, H + top + bottom, W + left + right), dy.dtype
    )
    weight, gradient = _grouped(w, G, 0), _grouped(dy, G, 1)
    for r, s, window in _taps(problem, padded):
        window += np.einsum("ngkpq,gkc->ngcpq", gradient, weight[..., r, s])
    dx = padded[..., top : top + H, left : left + W].reshape(problem.input_shape).copy()
    return dx if bias is None else dx + bias[:, None, None]


def grad_weight(dy, x, problem, options):
    G = problem.groups
    padded = _grouped(np.pad(x, ((0, 0), (0, 0), *problem.padding)), G, 1)
    gradient = _grouped(dy, G, 1)
    shape = (G, problem.out_channels // G, problem.in_channels // G, *problem.kernel_size)
    dw = np.zeros(shape, x.dtype)
    for r, s, window in _taps(problem, padded):
        dw[..., r, s] = np.einsum("ngkpq,ngcpq->gkc", gradient, window)
    return dw.reshape(problem.weight_shape)


toy = Backend("toy", Capabilities(dtypes=DTYPES), forward, grad_input, grad_weight)


@hookimpl
def convhub_backends():
    return [toy]
