"""Winograd's F(4x4, 3x3) in the operands' own type, of the class normwise, without gradients of weights.

The matrices are those of Lavin and Gray, *Fast algorithms for convolutional neural networks* (2016), with the
points 0, 1, -1, 2, -2 and infinity. No others for tiles of six are in wider use, and few amplify errors more.
"""

from __future__ import annotations

import numpy as np

from convhub.backend import Backend, Capabilities

from .shapes import grouped, padded, padded_size, unpadded, with_bias

TILE, TAPS = 4, 3
SIDE = TILE + TAPS - 1

IMAGE = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
KERNEL = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6] * 3,
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
RESULT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])


def _both_axes(matrix, array):
    """Return ``M A Mᵀ`` of the last two axes, rounded after each product."""
    matrix = matrix.astype(array.dtype)
    return np.matmul(np.matmul(matrix, array), matrix.T)


def _correlate(image, weight, out_height, out_width):
    """Return the correlation of images (N, G, C, H, W) with weights (G, K, C, 3, 3), of stride 1."""
    rows, columns = -(-out_height // TILE), -(-out_width // TILE)
    wide = np.zeros((*image.shape[:3], rows * TILE + TAPS - 1, columns * TILE + TAPS - 1), image.dtype)
    height, width = (min(a, b) for a, b in zip(image.shape[3:], wide.shape[3:], strict=True))
    wide[..., :height, :width] = image[..., :height, :width]
    windows = np.lib.stride_tricks.sliding_window_view(wide, (SIDE, SIDE), (3, 4))[:, :, :, ::TILE, ::TILE]
    tiles = _both_axes(IMAGE, np.ascontiguousarray(windows))
    kernels = _both_axes(KERNEL, weight)
    products = np.einsum("ngchwij,gkcij->ngkhwij", tiles, kernels, optimize=True)
    outputs = _both_axes(RESULT, products.astype(image.dtype))
    whole = outputs.transpose(0, 1, 2, 3, 5, 4, 6).reshape(*outputs.shape[:3], rows * TILE, columns * TILE)
    return whole[..., :out_height, :out_width]


def winograd_forward(x, w, bias, problem, options):
    weight = grouped(w, problem.groups, 0)
    y = _correlate(padded(x, problem), weight, *problem.output_size).reshape(problem.output_shape)
    return with_bias(np.ascontiguousarray(y), bias)


def winograd_grad_input(dy, w, bias, problem, options):
    weight = grouped(w, problem.groups, 0).swapaxes(1, 2)[..., ::-1, ::-1]
    gradient = np.pad(grouped(dy, problem.groups, 1), [(0, 0)] * 3 + [(TAPS - 1,) * 2] * 2)
    height, width = (side + TAPS - 1 for side in problem.output_size)
    image = np.zeros((*gradient.shape[:2], weight.shape[1], *padded_size(problem)), dy.dtype)
    image[..., :height, :width] = _correlate(gradient, weight, height, width)
    return with_bias(unpadded(image, problem), bias)


def supports(problem):
    return problem.kernel_size == (TAPS, TAPS) or f"takes kernels of {TAPS}x{TAPS} only"


backend = Backend(
    "winograd",
    Capabilities(dtypes=("float32", "float64"), stride=False, dilation=False, accuracy="normwise"),
    *(winograd_forward, winograd_grad_input),
    supports=supports,
)
