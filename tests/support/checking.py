"""Calls backends for tests and checks results by the conformance suite's oracle and bound."""

from __future__ import annotations

import numpy as np

from convhub.backend import RunOptions
from convhub.problem import Problem
from convhub.reference.bounds import bound, worst
from convhub.reference.operands import fill
from convhub.reference.oracle import Operands, exact

# Odd and non-square throughout; each tests something that a formula could get wrong.
GEOMETRIES = {
    "plain": "n2c5h11w14_k6r3s2",
    "one_pixel": "n3c8h1w1_k9r1s1",
    "pointwise": "n2c9h7w13_k10r1s1",
    "pointwise_strided": "n2c4h9w8_k6r1s1_stride2x3",
    "padded": "n2c3h9w12_k7r3s3_pad1-2x2-0",
    "strided": "n2c6h15w18_k5r3s4_stride2x3_pad1x2",
    "stride_past_the_kernel": "n2c4h13w17_k6r2s2_stride3x4_pad1-0x0-1",
    "dilated": "n1c5h19w23_k7r3s2_dilation2x5_pad2x3",
    "stride_and_dilation_share_a_factor": "n1c3h17w20_k4r3s3_stride4x2_dilation2x4_pad3x1",
    "grouped": "n2c12h9w11_k8r3s3_pad1_groups4",
    "depthwise": "n2c7h17w19_k7r3s3_pad1_groups7",
    "depthwise_strided": "n1c32h14w33_k32r5s3_stride2_pad2x1_groups32",
    "multiplier": "n2c20h9w16_k40r3s3_pad1x2_groups20",
    "truncated": "n2c5h16w19_k4r3s3_stride2x3_pad1_out5x4",
    "padding_past_the_kernel": "n2c2h4w5_k3r2s2_pad3x4",
    "only_padding_seen": "n1c2h2w3_k2r1s2_stride9x1_pad0-9x0_out1x1",
    "one_output_channel": "n2c6h20w21_k1r3s3_pad1",
    "many_terms": "n2c150h5w6_k70r3s3_pad1",
    "no_image": "n0c4h6w7_k6r3s2_groups2",
}
PRIMITIVES = ("forward", "grad_input", "grad_weight")

#: Every type and every width of vectors, but not every pair: each pair is compiled separately, for each
#: algorithm. The guarded runs and the conformance suite have them all.
TYPES_AND_WIDTHS = (
    ("float32", 128),
    ("float16", 256),
    ("float64", 256),
    ("bfloat16", 512),
    ("float32", 512),
    ("float64", 512),
)


def problem_of(primitive: str, dtype: str, geometry: str) -> Problem:
    return Problem.parse(f"{primitive}_{dtype}_{geometry}")


def operands_of(problem: Problem, generator, bias=True) -> Operands:
    """Return random operands of a problem; those of grad_weight have no bias."""
    shapes = problem.operand_shapes
    bias = bias and problem.primitive != "grad_weight"
    first, second = (fill(generator, shape, problem.dtype, "normal") for shape in shapes)
    constant = fill(generator, problem.result_shape[1:2], problem.dtype, "normal")
    return Operands(first, second, constant if bias else None)


def run(engine, problem: Problem, operands: Operands, **options):
    """Call a primitive as the dispatcher does, on NumPy arrays."""
    function = getattr(engine, problem.primitive)
    arguments = operands[:2] if problem.primitive == "grad_weight" else operands
    return function(*arguments, problem, RunOptions(**options))


def assert_right(result, problem: Problem, operands: Operands, accuracy="componentwise") -> float:
    """Check a result against the bound of its class, and return the part that the worst element takes."""
    assert result.shape == problem.result_shape
    assert result.dtype.name == problem.dtype
    assert result.flags.c_contiguous
    right = exact(problem, operands)
    ratio, place = worst(result, right, bound(problem, right, accuracy, bias=operands.bias is not None))
    assert ratio <= 1, f"{problem}: at {place}, the error is {ratio:.3g} times the bound"
    return ratio


def expected_nonfinite(problem: Problem, operands: Operands):
    """Return which results a NaN or an infinity must reach: those with it in one of their products."""
    marked = Operands(*(None if a is None else (~np.isfinite(a)).astype(np.int64) for a in operands))
    ones = Operands(*(None if a is None else np.ones(a.shape, np.int64) for a in operands))
    counted = problem.replace(dtype="int64")
    reached = exact(counted, Operands(marked.first, ones.second)).value
    return (reached + exact(counted, Operands(ones.first, marked.second)).value) > 0
