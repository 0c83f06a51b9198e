"""Checks results of the Numba engine against float64 sums written in plain NumPy."""

from __future__ import annotations

import numpy as np
from convhub_numba import engine

from convhub.arrays import numpy_dtype
from convhub.backend import RunOptions

# For types that are summed in float32: the relative distance of neighbours, and the least number.
ROUNDING = {"float16": (2.0**-10, 2.0**-24), "bfloat16": (2.0**-7, 2.0**-133)}


def shapes(problem):
    """Return the shapes of the two operands."""
    return problem.operand_shapes


def operands(problem, draw):
    """Return two operands and a bias (None where there is none), made by ``draw(shape)``."""
    dtype = numpy_dtype(problem.dtype)
    first, second = (np.asarray(draw(shape)).astype(dtype) for shape in shapes(problem))
    if problem.primitive == "grad_weight":
        return first, second, None
    return first, second, np.asarray(draw(problem.result_shape[1])).astype(dtype)


def oracle(problem, first, second, bias=None):
    """Return the result by einsum over one kernel element at a time, in float64 on a padded input."""
    N, C, H, W = problem.input_shape
    K, _, R, S = problem.weight_shape
    P, Q = problem.output_size
    G = problem.groups
    (top, bottom), (left, right) = problem.padding
    inside = (..., slice(top, top + H), slice(left, left + W))
    padded = np.zeros((N, G, C // G, H + top + bottom, W + left + right))
    first = first.astype(np.float64)
    second = second.astype(np.float64)
    weight = np.zeros((G, K // G, C // G, R, S))
    output = np.zeros((N, G, K // G, P, Q))
    if problem.primitive == "forward":
        padded[inside] = first.reshape(N, G, C // G, H, W)
    else:
        output[...] = first.reshape(output.shape)
    if problem.primitive == "grad_weight":
        padded[inside] = second.reshape(N, G, C // G, H, W)
    else:
        weight[...] = second.reshape(weight.shape)
    (sh, sw), (dh, dw) = problem.stride, problem.dilation
    for r in range(R):
        for s in range(S):
            used = (
                ...,
                slice(r * dh, r * dh + (P - 1) * sh + 1, sh),
                slice(s * dw, s * dw + (Q - 1) * sw + 1, sw),
            )
            if problem.primitive == "forward":
                output += np.einsum("gkc,ngcpq->ngkpq", weight[..., r, s], padded[used])
            elif problem.primitive == "grad_input":
                padded[used] += np.einsum("gkc,ngkpq->ngcpq", weight[..., r, s], output)
            else:
                weight[..., r, s] = np.einsum("ngkpq,ngcpq->gkc", output, padded[used])
    result = {"forward": output, "grad_input": padded[inside], "grad_weight": weight}[problem.primitive]
    result = result.reshape(problem.result_shape)
    return result if bias is None else result + bias.astype(np.float64)[:, None, None]


def run(problem, first, second, bias=None, options=None, vector_bits=0):
    options = options or RunOptions()
    if problem.primitive == "grad_weight":
        return engine.grad_weight(first, second, problem, options, vector_bits)
    return getattr(engine, problem.primitive)(first, second, bias, problem, options, vector_bits)


def assert_right(problem, result, first, second, bias=None):
    """Assert that each element is within ``(8 + sqrt(terms)) eps`` of the sum of its terms' magnitudes.

    That is `eps` of the type of the sums; where the result has another type, one rounding is added.
    """
    expected = oracle(problem, first, second, bias)
    magnitude = oracle(problem, abs(first), abs(second), None if bias is None else abs(bias))
    sums = "float32" if problem.dtype in ROUNDING else problem.dtype
    bound = (8 + np.sqrt(problem.terms)) * np.finfo(sums).eps * magnitude
    epsilon, least = ROUNDING.get(problem.dtype, (0, 0))
    bound += (epsilon * (abs(expected) + bound) + least) / 2
    assert result.shape == problem.result_shape
    assert result.dtype == numpy_dtype(problem.dtype)
    assert result.flags.c_contiguous
    assert result.flags.writeable
    error = abs(result.astype(np.float64) - expected)
    assert (error <= bound).all(), f"{problem}: {(error > bound).sum()} of {error.size} elements are wrong"
