"""Computes convolution and its two adjoints by loops over single numbers.

All three are one sum over the same products. `places` walks through them: each place says that the
weight ``w[k, c, r, s]`` joins the output ``y[n, k, p, q]`` to the pixel ``x[n, channel, h, w]``. Read
along the three arrows, this is

- `forward`, where ``y`` collects ``w · x``;
- `grad_input`, where ``x`` collects ``w · y``;
- `grad_weight`, where ``w`` collects ``y · x``.

Places on the padding are left out, not multiplied by zero, so that a NaN or an infinity reaches exactly
the results that the definition says.

A result of many products is made of about √n sums of about √n products (`Sums`): the rounding errors of n
additions of equal numbers, one after another, would grow with n.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from convhub.backend import Array, Problem, RunOptions

__all__ = ["forward", "grad_input", "grad_weight", "places"]

Index = tuple[int, int, int, int]

#: The most products that are added one after another; longer sums are divided.
LONGEST_CHAIN = 256


def places(problem: Problem) -> Iterator[tuple[Index, Index, Index]]:
    """Yield every place where a weight joins an output to a pixel of the input.

    Yields
    ------
    output, weight, pixel : tuple of int
        Indices into ``y`` (n, k, p, q), ``w`` (k, c, r, s) and ``x`` (n, channel, h, w).

    Examples
    --------
    >>> one_row = Problem.parse("forward_n1c1h1w3_k1r1s2")
    >>> for output, weight, pixel in places(one_row):
    ...     print("y", output, "takes w", weight, "times x", pixel)
    y (0, 0, 0, 0) takes w (0, 0, 0, 0) times x (0, 0, 0, 0)
    y (0, 0, 0, 0) takes w (0, 0, 0, 1) times x (0, 0, 0, 1)
    y (0, 0, 0, 1) takes w (0, 0, 0, 0) times x (0, 0, 0, 1)
    y (0, 0, 0, 1) takes w (0, 0, 0, 1) times x (0, 0, 0, 2)
    """
    batch, out_channels, out_height, out_width = problem.output_shape
    _, channels_per_group, kernel_height, kernel_width = problem.weight_shape
    height, width = problem.input_size
    stride_h, stride_w = problem.stride
    dilation_h, dilation_w = problem.dilation
    (top, _), (left, _) = problem.padding
    outputs_per_group = out_channels // problem.groups

    for n in range(batch):
        for k in range(out_channels):
            first_channel = k // outputs_per_group * channels_per_group
            for p in range(out_height):
                for q in range(out_width):
                    for c in range(channels_per_group):
                        for r in range(kernel_height):
                            h = p * stride_h + r * dilation_h - top
                            if not 0 <= h < height:
                                continue
                            for s in range(kernel_width):
                                w = q * stride_w + s * dilation_w - left
                                if not 0 <= w < width:
                                    continue
                                yield (n, k, p, q), (k, c, r, s), (n, first_channel + c, h, w)


def forward(x: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``y``, (N, K, P, Q): each output is the sum of ``w · x`` over its window, plus its bias."""
    x, w, y = widen(x), widen(w), Sums(problem)
    with np.errstate(all="ignore"):
        for output, weight, pixel in places(problem):
            y.add(output, w[weight] * x[pixel])
        return finish(y, bias, problem)


def grad_input(dy: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``dx``, (N, C, H, W): each pixel is the sum of ``w · dy`` over its uses, plus its bias."""
    dy, w, dx = widen(dy), widen(w), Sums(problem)
    with np.errstate(all="ignore"):
        for output, weight, pixel in places(problem):
            dx.add(pixel, w[weight] * dy[output])
        return finish(dx, bias, problem)


def grad_weight(dy: Array, x: Array, problem: Problem, options: RunOptions) -> Array:
    """Return ``dw``, (K, C / groups, R, S): each weight is the sum of ``dy · x`` over its uses."""
    dy, x, dw = widen(dy), widen(x), Sums(problem)
    with np.errstate(all="ignore"):
        for output, weight, pixel in places(problem):
            dw.add(weight, dy[output] * x[pixel])
        return finish(dw, None, problem)


def widen(array: Array) -> Array:
    """Return `array` in the type of its sums: float32 for the 16-bit floats, else its own."""
    return array.astype(np.float32) if array.dtype.name in ("float16", "bfloat16") else array


class Sums:
    """The sums that make up a result: a number passes through about 2√n additions, or a short chain.

    Attributes
    ----------
    total : ndarray
        Of the result's shape: the sums of whole blocks.
    part : ndarray
        The sums of the blocks that are not full yet, or of all products where these make one chain.
    count : dict
        How many products each of these has, by its index.
    """

    def __init__(self, problem: Problem) -> None:
        self.total, self.part = zeros(problem), zeros(problem)
        self.count: dict[Index, int] = {}
        self.is_one_chain = problem.terms <= LONGEST_CHAIN
        self.block = math.isqrt(problem.terms)

    def add(self, index: Index, product: np.generic) -> None:
        """Add one product to the result at `index`."""
        self.part[index] += product
        if self.is_one_chain:
            return
        count = self.count.get(index, 0) + 1
        if count == self.block:
            self.total[index] += self.part[index]
            self.part[index] = count = 0
        self.count[index] = count


def zeros(problem: Problem) -> Array:
    """Return the result of `problem` before the first product, in the type of its sums."""
    narrow = problem.dtype in ("float16", "bfloat16")
    return np.zeros(problem.result_shape, np.float32 if narrow else problem.dtype)


def finish(sums: Sums, bias: Array | None, problem: Problem) -> Array:
    """Add the unfinished blocks and the bias of each channel, if any, and round to the problem's type."""
    result = sums.total + sums.part
    if bias is not None:
        result += widen(bias)[:, np.newaxis, np.newaxis]
    if problem.dtype == "bfloat16":
        import ml_dtypes

        return result.astype(ml_dtypes.bfloat16)
    return result.astype(problem.dtype, copy=False)
