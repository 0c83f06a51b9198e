"""Tests this backend's own properties: memory, blocks, threads, and results that are not finite."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from convhub_fft import accuracy, algorithm, engine, taps
from convhub_fft.grid import grid_of
from convhub_fft.plan import Block, Plan, largest_block, plan_of

import convhub
from convhub.backend import Problem, RunOptions

PRIMITIVES = ("forward", "grad_input", "grad_weight")
BIG = "forward_float64_n3c6h40w37_k4r15s11_stride2x1_dilation1x2_pad7-6x3-4_groups2"


def call(problem, given, options=None):
    options = options or RunOptions()
    if problem.primitive == "grad_weight":
        return engine.grad_weight(*given, problem, options)
    return getattr(engine, problem.primitive)(*given, None, problem, options)


def operands(problem, seed=0):
    rng = np.random.default_rng(seed)
    shapes = problem.operand_shapes
    return [rng.standard_normal(shape).astype(problem.dtype) for shape in shapes]


def by_taps(problem, given):
    """Return the result by the definition, without a transform."""
    result = np.zeros(problem.result_shape, problem.dtype)
    getattr(taps, f"add_{problem.primitive}")(*given, result, problem, RunOptions())
    return result


@pytest.fixture(params=PRIMITIVES)
def problem(request):
    return Problem.parse(BIG).replace(primitive=request.param)


def test_memory_keeps_to_its_limit_in_blocks_of_any_size(problem):
    given = operands(problem)
    expected = by_taps(problem, given)
    blocks = set()
    for limit in (10**7, 10**6, 500_000, 200_000, 60_000):
        options = RunOptions(workspace_limit=limit)
        blocks.add(largest_block(problem, limit))
        call(problem, given, options)  # fills caches that later calls use
        tracemalloc.start()
        result = call(problem, given, options)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-11)
        # Views, tuples and slices are not counted; they are a few kilobytes.
        assert peak - result.nbytes <= limit + 20_000
    assert len(blocks) == 5
    assert None in blocks  # the last, and smallest, limit


def test_no_thread_changes_a_bit(problem):
    given = operands(problem)
    for limit in (2**26, 500_000):
        one, *others = (
            call(problem, given, RunOptions(threads=threads, workspace_limit=limit))
            for threads in (1, 2, 3, 7)
        )
        for other in others:
            assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_reaches_its_windows_and_nothing_else(problem, value):
    given = operands(problem)
    clean = call(problem, given)
    given[0][1, 1, 3, 5] = value
    result, expected = call(problem, given), by_taps(problem, given)
    np.testing.assert_array_equal(np.isfinite(result), np.isfinite(expected))
    assert 0 < np.isfinite(result).mean() < 1
    finite = np.isfinite(result)
    np.testing.assert_allclose(result[finite], clean[finite], rtol=0, atol=1e-11)
    if problem.primitive != "grad_weight":  # which sums over the images
        assert result[0].tobytes() == clean[0].tobytes()


def test_a_spectrum_may_overflow_where_the_result_does_not():
    problem = Problem.parse("forward_float64_n1c1h32w32_k1r9s9")
    assert algorithm(problem, RunOptions()) == "fft"
    x = np.full(problem.input_shape, 3e307)
    w = np.zeros(problem.weight_shape)
    w[0, 0, 4, 4] = 2
    with np.errstate(all="raise"):
        assert (call(problem, (x, w)) == 6e307).all()


@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize(
    "text",
    [
        "n2c3h9w8_k4r3s2",
        "n1c4h7w9_k6r3s3_stride2x3_pad1-2x0-1_groups2",
        "n2c5h11w6_k5r2s4_stride3x1_dilation2x1_pad0x2_groups5",
        "n1c2h8w8_k3r2s2_stride4x5",  # rows and columns that no window takes
        "n2c3h11w12_k4r3s3_stride2x2_pad1x1_out4x5",
        "n1c3h4w5_k2r1s1_pad3x1_stride2x2",
        "n1c2h9w10_k2r3s3_stride2x4_dilation4x2",  # only one phase in two is used, or in four
        "n3c2h2w3_k2r3s5_pad2x4",
    ],
)
def test_transforms_are_right_where_they_would_not_be_chosen(text, primitive):
    problem = Problem.parse(f"{primitive}_float64_{text}")
    given = operands(problem)
    expected = by_taps(problem, given)
    whole = Block(problem.groups, problem.batch, problem.in_channels, problem.out_channels)
    for block in (whole, Block(1, 1, 1, 1), Block(2, 1, 2, 2)):
        result = np.zeros(problem.result_shape)
        compute = getattr(engine, f"transform_{primitive}")
        compute(*given, result, problem, Plan(grid_of(problem), block), 2)
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-13)


def test_pixels_that_no_window_takes_do_not_disturb_others():
    problem = Problem.parse("forward_float64_n1c1h64w64_k1r8s8_stride9")
    x, w = operands(problem)
    plan = Plan(grid_of(problem), Block(1, 1, 1, 1))
    clean, disturbed = np.zeros((2, *problem.output_shape))
    engine.transform_forward(x, w, clean, problem, plan, 1)
    x[..., 8::9, :] = x[..., 8::9] = 1e300
    engine.transform_forward(x, w, disturbed, problem, plan, 1)
    assert disturbed.tobytes() == clean.tobytes()


def test_the_layers_that_are_timed_are_transformed():
    lines = (Path(__file__).parents[1] / "large-kernels.txt").read_text().splitlines()
    problems = [Problem.parse(text) for line in lines if (text := line.partition("#")[0].strip())]
    assert len(problems) > 10
    assert {algorithm(problem, RunOptions()) for problem in problems} == {"fft"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_runs_and_what_is_promised_of_it(dtype):
    large = Problem.parse(f"forward_{dtype}_n1c3h64w64_k4r15s15_pad7")
    cases = [
        (large, RunOptions(), "fft", "normwise"),
        (large, RunOptions(accuracy="strict"), "taps", "componentwise"),
        (large, RunOptions(workspace_limit=100_000), "taps", "componentwise"),
        (Problem.parse(f"forward_{dtype}_n1c3h64w64_k4r3s3_pad1"), RunOptions(), "taps", "componentwise"),
        (Problem.parse(f"forward_{dtype}_n1c3h64w64_k4r64s64"), RunOptions(), "taps", "componentwise"),
    ]
    for problem, options, name, accuracy_class in cases:
        assert (algorithm(problem, options), accuracy(problem, options)) == (name, accuracy_class)
    assert convhub.explain(str(large), backend="fft").parts[0].algorithm == "fft"


def test_float32_keeps_its_digits_beside_pixels_a_million_times_as_bright():
    problem = Problem.parse("forward_float32_n1c1h64w64_k1r15s15")
    assert plan_of(problem, RunOptions()) is not None
    x, w = operands(problem)
    x[..., 0, 0] = 1e6  # which the first window alone holds
    exact = by_taps(problem.replace(dtype="float64"), [a.astype(np.float64) for a in (x, w)])
    error = np.abs(call(problem, (x, w)) - exact)[..., 1:, 1:]
    assert error.max() <= 2.0**-23 * np.abs(exact[..., 1:, 1:]).max()
