"""One einsum over a view of all windows."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from convhub.backend import Backend, Capabilities

from .shapes import grouped, padded, padded_size, spread, unpadded, with_bias


def windows(x, problem):
    """Return a view (N, G, C/G, P, Q, R, S) of what each output sees."""
    reach = [d * (r - 1) + 1 for d, r in zip(problem.dilation, problem.kernel_size, strict=True)]
    (P, Q), (sh, sw), (dh, dw) = problem.output_size, problem.stride, problem.dilation
    found = sliding_window_view(padded(x, problem), reach, axis=(3, 4))
    return found[:, :, :, ::sh, ::sw, ::dh, ::dw][:, :, :, :P, :Q]


def sliding_forward(x, w, bias, problem, options):
    y = np.einsum("ngcpqrs,gkcrs->ngkpq", windows(x, problem), grouped(w, problem.groups, 0))
    return with_bias(np.ascontiguousarray(y.reshape(problem.output_shape)), bias)


def sliding_grad_input(dy, w, bias, problem, options):
    """Correlate the spread gradient with the kernel turned around."""
    margin = [d * (r - 1) for d, r in zip(problem.dilation, problem.kernel_size, strict=True)]
    gradient = np.pad(spread(dy, problem.stride), ((0, 0), (0, 0), *((m, m) for m in margin)))
    seen = sliding_window_view(grouped(gradient, problem.groups, 1), [m + 1 for m in margin], axis=(3, 4))
    seen = seen[..., :: problem.dilation[0], :: problem.dilation[1]]
    turned = grouped(w, problem.groups, 0)[..., ::-1, ::-1]
    reached = np.einsum("ngkhwrs,gkcrs->ngchw", seen, turned)
    dx = np.zeros((*reached.shape[:3], *padded_size(problem)), dy.dtype)
    dx[..., : reached.shape[3], : reached.shape[4]] = reached
    return with_bias(unpadded(dx, problem), bias)


def sliding_grad_weight(dy, x, problem, options):
    dw = np.einsum("ngkpq,ngcpqrs->gkcrs", grouped(dy, problem.groups, 1), windows(x, problem))
    return np.ascontiguousarray(dw.reshape(problem.weight_shape))


backend = Backend(
    "sliding",
    Capabilities(dtypes=("float32", "float64")),
    *(sliding_forward, sliding_grad_input, sliding_grad_weight),
)
