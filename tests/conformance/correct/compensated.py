"""Sums that carry their rounding errors along, in a shuffled but fixed order; grad_weight in pairs."""

from __future__ import annotations

import math

import numpy as np

from convhub.backend import Backend, Capabilities

from .shapes import grouped, padded, padded_size, unpadded, with_bias


def _shuffled(*counts):
    steps = list(np.ndindex(*counts))
    return [steps[i] for i in np.random.default_rng(0).permutation(len(steps))]


def _add(total, lost, place, term):
    """Add to a place, and collect what rounding loses (Knuth's TwoSum)."""
    before = total[place]
    after = before + term
    part = after - before
    lost[place] += (before - (after - part)) + (term - part)
    total[place] = after


def _finished(total, lost):
    # Where the sum is no number, or infinite, neither is what it lost.
    return total + np.where(np.isfinite(lost), lost, np.zeros_like(lost))


def _taps(image, problem):
    """Return a function from a tap to the slice of an image that it meets."""
    (P, Q), (sh, sw), (dh, dw) = problem.output_size, problem.stride, problem.dilation
    return lambda r, s: (
        ...,
        slice(r * dh, r * dh + (P - 1) * sh + 1, sh),
        slice(s * dw, s * dw + (Q - 1) * sw + 1, sw),
    )


def compensated_forward(x, w, bias, problem, options):
    image, kernel = padded(x, problem), grouped(w, problem.groups, 0)
    shape = (problem.batch, problem.groups, problem.group_channels[1], *problem.output_size)
    total, lost, tap = np.zeros(shape, x.dtype), np.zeros(shape, x.dtype), _taps(image, problem)
    for c, r, s in _shuffled(*problem.weight_shape[1:]):
        _add(total, lost, ..., image[:, :, c, None][tap(r, s)] * kernel[:, :, c, r, s, None, None])
    return with_bias(_finished(total, lost).reshape(problem.output_shape), bias)


def compensated_grad_input(dy, w, bias, problem, options):
    gradient, kernel = grouped(dy, problem.groups, 1), grouped(w, problem.groups, 0)
    shape = (problem.batch, problem.groups, problem.group_channels[0], *padded_size(problem))
    total, lost = np.zeros(shape, dy.dtype), np.zeros(shape, dy.dtype)
    tap = _taps(total, problem)
    for k, r, s in _shuffled(problem.group_channels[1], *problem.kernel_size):
        _add(total, lost, tap(r, s), gradient[:, :, k, None] * kernel[:, k, :, r, s, None, None])
    return with_bias(unpadded(_finished(total, lost), problem), bias)


def compensated_grad_weight(dy, x, problem, options):
    gradient, image = grouped(dy, problem.groups, 1), padded(x, problem)
    per_group = (problem.group_channels[1], problem.group_channels[0])
    dw = np.zeros((problem.groups, *per_group, *problem.kernel_size), x.dtype)
    tap = _taps(image, problem)
    for k, r, s in np.ndindex(per_group[0], *problem.kernel_size):
        products = gradient[:, :, k, None] * image[tap(r, s)]
        dw[:, k, :, r, s] = _in_pairs(np.moveaxis(products, 0, 2).reshape(*products.shape[1:3], -1))
    return dw.reshape(problem.weight_shape)


def _in_pairs(terms):
    """Add the last axis up in pairs, pairs of pairs, and so on."""
    size = 2 ** math.ceil(math.log2(max(1, terms.shape[-1])))
    terms = np.pad(terms, ((0, 0), (0, 0), (0, size - terms.shape[-1])))
    while terms.shape[-1] > 1:
        terms = terms[..., ::2] + terms[..., 1::2]
    return terms[..., 0]


backend = Backend(
    "compensated",
    Capabilities(dtypes=("float32", "float64")),
    *(compensated_forward, compensated_grad_input, compensated_grad_weight),
)
