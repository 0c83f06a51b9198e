"""Products of spectra: one transform of the padded image, of the class normwise."""

from __future__ import annotations

import numpy as np

from convhub.backend import Backend, Capabilities

from .shapes import every, grouped, padded, padded_size, spread, unpadded, with_bias


def _spectrum(array, problem):
    return np.fft.rfft2(array, s=padded_size(problem))


def _from_spectrum(product, problem):
    return np.fft.irfft2(product, s=padded_size(problem))


def fft_forward(x, w, bias, problem, options):
    image = _spectrum(padded(x, problem), problem)
    kernel = _spectrum(grouped(spread(w, problem.dilation), problem.groups, 0), problem)
    y = _from_spectrum(np.einsum("ngchw,gkchw->ngkhw", image, kernel.conj()), problem)
    y = every(y, problem.stride, problem.output_size).reshape(problem.output_shape)
    return with_bias(np.ascontiguousarray(y, x.dtype), bias)


def fft_grad_input(dy, w, bias, problem, options):
    gradient = _spectrum(grouped(spread(dy, problem.stride), problem.groups, 1), problem)
    kernel = _spectrum(grouped(spread(w, problem.dilation), problem.groups, 0), problem)
    dx = _from_spectrum(np.einsum("ngkhw,gkchw->ngchw", gradient, kernel), problem)
    return with_bias(unpadded(dx, problem).astype(dy.dtype), bias)


def fft_grad_weight(dy, x, problem, options):
    gradient = _spectrum(grouped(spread(dy, problem.stride), problem.groups, 1), problem)
    image = _spectrum(padded(x, problem), problem)
    dw = _from_spectrum(np.einsum("ngkhw,ngchw->gkchw", gradient.conj(), image), problem)
    dw = every(dw, problem.dilation, problem.kernel_size).reshape(problem.weight_shape)
    return np.ascontiguousarray(dw, x.dtype)


backend = Backend(
    "fft",
    Capabilities(dtypes=("float32", "float64"), accuracy="normwise"),
    *(fft_forward, fft_grad_input, fft_grad_weight),
)
