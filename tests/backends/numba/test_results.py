"""The Numba engine's results against float64 sums written here in plain NumPy."""

import numpy as np
import pytest

from convhub.arrays import numpy_dtype
from convhub.backend import RunOptions
from convhub.problem import Problem

pytest.importorskip("numba", reason="the engine under test is made of Numba")
pytest.importorskip("ml_dtypes", reason="it has NumPy's bfloat16")

from convhub_numba import backend
from convhub_numba.planner import make_plan
from support.plain_sums import ROUNDING, assert_right, operands, oracle, run, shapes

PRIMITIVES = ("forward", "grad_input", "grad_weight")
DTYPES = ("float16", "bfloat16", "float32", "float64")
NOT_DOUBLE = DTYPES[:3]
# Name and geometry; the primitive, the dtype and two images are added. Odd and non-square throughout.
GEOMETRIES = {
    "plain": "c5h11w14_k6r3s2",
    "pointwise": "c9h7w13_k10r1s1",
    "padded": "c3h9w12_k7r3s3_pad1-2x2-0",
    "strided": "c6h15w18_k5r3s4_stride2x3_pad1x2",
    "wide_stride": "c4h13w17_k6r2s2_stride3x4_pad1-0x0-1",
    "patches": "c3h9w83_k5r4s4_stride4_pad0-0x1-2",
    "dilated": "c5h19w23_k7r3s2_dilation2x5_pad2x3",
    "all_at_once": "c6h21w26_k9r4s3_stride2x1_pad0-3x2-1_dilation1x3_groups3",
    "taps_that_miss_the_image": "c9h21w33_k10r3s3_pad10x22_dilation12x23",
    "half_the_taps_miss": "c6h40w19_k12r5s3_stride2x1_pad19x8-9_dilation9x8_groups2",
    "grouped": "c20h9w11_k28r3s3_pad1_groups4",
    "few_channels": "c12h10w29_k12r3s3_pad1_groups3",
    "depthwise": "c7h13w19_k7r3s3_pad1_groups7",
    "depthwise_strided": "c6h14w33_k6r5s3_stride2_pad2x1_groups6",
    "depthwise_narrow": "c5h8w3_k5r3s3_pad1_groups5",
    "multiplier": "c4h9w16_k8r3s5_pad1x2_groups4",
    "one_pixel": "c8h1w1_k9r1s1",
    "kernel_of_the_image": "c3h6w7_k4r6s7",
    "padding_past_the_kernel": "c2h4w5_k3r2s2_pad3x4",
    "truncated": "c5h16w19_k4r3s3_stride2x3_pad1_out5x4",
    "many_terms": "c70h8w9_k12r3s3_pad1",
}


def problem_of(primitive, dtype, geometry):
    return Problem.parse(f"{primitive}_{dtype}_n2{geometry}")


@pytest.fixture
def rng():
    return np.random.default_rng(20240607)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_results(geometry, primitive, dtype, rng):
    problem = problem_of(primitive, dtype, geometry)
    given = operands(problem, rng.standard_normal)
    assert_right(problem, run(problem, *given), *given)


@pytest.mark.parametrize("bits", [128, 256, 512])
@pytest.mark.parametrize("dtype", NOT_DOUBLE)
@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", ["all_at_once", "depthwise", "many_terms", "few_channels"])
def test_every_vector_width(geometry, primitive, dtype, bits, rng):
    problem = problem_of(primitive, dtype, GEOMETRIES[geometry])
    given = operands(problem, rng.standard_normal)
    assert_right(problem, run(problem, *given, vector_bits=bits), *given)


def test_widths_are_not_ignored():
    problem = problem_of("forward", "float16", GEOMETRIES["plain"])
    assert [make_plan(problem, RunOptions(), bits).tile.lanes for bits in (128, 256, 512)] == [4, 8, 16]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_small_integers_are_exact(geometry, primitive, dtype, rng):
    problem = problem_of(primitive, dtype, geometry)
    given = operands(problem, lambda shape: rng.integers(-3, 4, shape))
    assert np.array_equal(run(problem, *given), oracle(problem, *given).astype(numpy_dtype(dtype)))


@pytest.mark.parametrize("groups", [1, 3])
def test_kernels_as_large_as_the_image_are_matrices_however_the_weight_lies(groups, rng):
    problem = problem_of("grad_input", "float32", f"c12h6w7_k15r6s7_groups{groups}")
    given = operands(problem, rng.standard_normal)
    assert_right(problem, run(problem, *given), *given)
    first, second, *rest = given
    turned = [first, np.asfortranarray(second), *rest]
    assert_right(problem, run(problem, *turned), *turned)


def test_taps_that_miss_the_image_are_not_computed():
    problem = problem_of("forward", "float32", GEOMETRIES["taps_that_miss_the_image"])
    made = make_plan(problem, RunOptions())
    products = sum(z.rows * z.columns * stage.taps.shape[0] for stage in made.stages for z in [stage.sizes])
    assert len(made.stages) > 1
    assert products < 0.7 * problem.output_size[0] * problem.output_size[1] * 9


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "text",
    [
        "forward_n67c5h7w6_k9r3s3_pad1",
        "grad_input_n67c5h7w6_k9r3s3_pad1",
        "grad_weight_n67c5h7w6_k9r3s3_pad1",
        "forward_n67c5h7w6_k5r3s3_pad1_groups5",
        "grad_weight_n67c5h7w6_k5r3s3_pad1_groups5",
        "forward_n9c20h31w33_k10r1s1",
        "grad_weight_n9c20h31w33_k10r1s1",
    ],
)
def test_batches(text, dtype, rng):
    problem = Problem.parse(text).replace(dtype=dtype)
    given = operands(problem, rng.standard_normal)
    assert_right(problem, run(problem, *given, options=RunOptions(threads=2)), *given)


@pytest.mark.parametrize("dtype", NOT_DOUBLE)
@pytest.mark.parametrize("fill", ["random", "constant"])
@pytest.mark.parametrize(
    "text",
    [
        "forward_n1c300h5w7_k5r3s3_pad1",
        "grad_input_n1c5h5w7_k300r3s3_pad1",
        "grad_weight_n4c6h60w61_k16r3s3_pad1",
        "grad_weight_n3c4h90w91_k4r3s3_pad1_groups4",
        "forward_n1c200h9w11_k2r3s3_pad1",
    ],
)
def test_long_sums_of_positive_terms(text, fill, dtype, rng):
    # All rounding errors of a constant's sum have the same sign: one long chain would exceed the bound.
    problem = Problem.parse(text).replace(dtype=dtype)
    given = operands(problem, rng.random if fill == "random" else lambda shape: np.full(shape, 0.1))
    assert_right(problem, run(problem, *given), *given)


@pytest.mark.parametrize("limit", [0, 2**26])
@pytest.mark.parametrize(
    "text",
    [
        "forward_float16_n2c300h5w7_k5r3s3_pad1",
        "grad_input_float16_n2c5h5w7_k300r3s3_pad1",
        "grad_weight_float16_n2c4h40w41_k16r3s3",
        "forward_float16_n2c250h9w11_k2r3s3_pad1",
        "grad_weight_float16_n2c4h40w41_k4r3s3_groups4",
    ],
)
def test_sums_may_leave_the_range_on_the_way(text, limit):
    # The first half of the terms adds up to more than float16 holds; the other half takes it away again.
    problem = Problem.parse(text)
    first, second, bias = operands(problem, lambda shape: np.full(shape, 8.0))
    half = np.ones(first.shape, np.float16)
    if problem.primitive == "grad_weight":
        half[1:] = -1
    else:
        half[:, first.shape[1] // 2 :] = -1
    given = (first * half, second, bias)
    largest = oracle(problem, abs(given[0]), second).max()
    assert largest / 2 > np.finfo(np.float16).max
    result = run(problem, *given, options=RunOptions(workspace_limit=limit))
    assert np.array_equal(result, oracle(problem, *given))


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", ["plain", "padded", "strided", "depthwise", "many_terms"])
def test_results_of_any_size_are_rounded_right(geometry, primitive, dtype, rng):
    # Small integers by powers of two: sums are exact; results subnormal, zero, ordinary, infinite in float16.
    problem = problem_of(primitive, dtype, GEOMETRIES[geometry])
    first, second, _ = operands(problem, lambda shape: rng.integers(-3, 4, shape))
    least, most = {"float16": (-17, 12), "bfloat16": (-70, 57)}[dtype]
    for exponent in (least, least + 4, 0, most):
        factor = np.float64(2.0**exponent)
        given = [(operand * factor).astype(first.dtype) for operand in (first, second)]
        with np.errstate(over="ignore"):
            expected = (oracle(problem, first, second) * factor**2).astype(first.dtype)
        assert np.array_equal(run(problem, *given), expected), exponent


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_no_bias_is_a_bias_of_zero(primitive, rng):
    problem = problem_of(primitive, "float32", GEOMETRIES["wide_stride"])
    first, second, _ = operands(problem, rng.standard_normal)
    assert_right(problem, run(problem, first, second), first, second)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", ["plain", "depthwise", "strided"])
def test_empty_batch(geometry, primitive, dtype, rng):
    problem = problem_of(primitive, dtype, GEOMETRIES[geometry]).replace(batch=0)
    given = operands(problem, rng.standard_normal)
    result = run(problem, *given)
    assert result.shape == problem.result_shape
    assert result.dtype == numpy_dtype(dtype)
    assert not result.any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("geometry", ["strided", "depthwise_strided"])
def test_pixels_that_no_output_used_have_the_bias(geometry, dtype, rng):
    problem = problem_of("grad_input", dtype, GEOMETRIES[geometry])
    problem = problem.replace(output_size=(3, 2))
    dy, w, bias = operands(problem, rng.standard_normal)
    result = run(problem, dy, w, bias)
    assert_right(problem, result, dy, w, bias)
    assert (result[..., -1] == bias[:, None]).all()


VIEWS = {
    "reversed": lambda a: np.flip(np.flip(a).copy()),
    "fortran": np.asfortranarray,
    "channels_outermost": lambda a: a.copy() if a.ndim == 1 else a.swapaxes(0, 1).copy().swapaxes(0, 1),
    "sliced": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
    "inside_records": lambda a: np.rec.fromarrays(
        [np.zeros(a.shape, np.int8), a], dtype=[("tag", np.int8), ("value", a.dtype)]
    )["value"],
}


@pytest.mark.parametrize("dtype", NOT_DOUBLE)
@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", ["pointwise", "padded", "depthwise", "strided"])
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_views(view, geometry, primitive, dtype, rng):
    problem = problem_of(primitive, dtype, GEOMETRIES[geometry])
    plain = operands(problem, rng.standard_normal)
    given = [None if operand is None else view(operand) for operand in plain]
    before = [None if operand is None else operand.copy() for operand in given]
    for operand in given:
        if operand is not None:
            operand.flags.writeable = False
    result = run(problem, *given)
    assert_right(problem, result, *plain)
    assert not any(operand is not None and np.shares_memory(result, operand) for operand in given)
    for operand, copy in zip(given, before, strict=True):
        assert operand is None or np.array_equal(operand, copy)


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_broadcast_operands(primitive, rng):
    problem = problem_of(primitive, "float64", GEOMETRIES["padded"])
    first, second = (
        np.broadcast_to(rng.standard_normal((1, 1, *shape[2:])), shape) for shape in shapes(problem)
    )
    assert_right(problem, run(problem, first, second), first, second)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", NOT_DOUBLE)
@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize(
    "geometry",
    [
        "pointwise",
        "padded",
        "strided",
        "dilated",
        "depthwise",
        "depthwise_narrow",
        "truncated",
        "few_channels",
    ],
)
def test_one_value_that_is_not_finite_reaches_only_its_window(geometry, primitive, dtype, value, rng):
    problem = problem_of(primitive, dtype, GEOMETRIES[geometry])
    ones = [np.ones(shape, numpy_dtype(dtype)) for shape in shapes(problem)]
    spots = [0]
    if primitive == "grad_weight":  # NaN in dy times a zero of the padding may be NaN or skipped
        spots = [1] if problem.padding != ((0, 0), (0, 0)) else [0, 1]
    for spot in spots:
        for _ in range(4):
            place = tuple(int(rng.integers(size)) for size in ones[spot].shape)
            given = [one.copy() for one in ones]
            given[spot][place] = value
            marks = [np.zeros_like(one) if index == spot else one for index, one in enumerate(ones)]
            marks[spot][place] = 1
            met = oracle(problem, *marks) > 0
            result = run(problem, *given)
            assert np.array_equal(~np.isfinite(result), met), (spot, place)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", ["all_at_once", "depthwise", "truncated", "padding_past_the_kernel"])
def test_without_any_workspace(geometry, primitive, dtype, rng):
    problem = problem_of(primitive, dtype, GEOMETRIES[geometry])
    options = RunOptions(workspace_limit=0, threads=2)
    given = operands(problem, rng.standard_normal)
    assert backend.algorithm(problem, options) == "direct"
    assert_right(problem, run(problem, *given, options=options), *given)


@pytest.mark.parametrize(
    ("text", "algorithm"),
    [
        ("forward_n1c64h56w56_k64r3s3_pad1", "winograd"),
        ("grad_input_n1c64h56w56_k64r3s3_pad1", "winograd"),
        ("grad_weight_n1c64h14w14_k64r3s3_pad1", "winograd"),
        ("forward_n1c64h7w7_k64r3s3_pad1_groups64", "depthwise"),
        ("forward_n1c64h56w56_k64r3s3_pad1_groups64", "indirect"),
        ("grad_input_n1c3h32w32_k64r7s7_stride2_pad3", "phases"),
        ("forward_n1c3h64w64_k32r3s3_pad1", "stem"),
        ("grad_weight_n1c3h64w64_k32r3s3_pad1", "stem"),
        ("grad_weight_n1c64h14w14_k64r3s3_pad1_groups64", "depthwise"),
    ],
)
def test_algorithms_have_names(text, algorithm):
    assert backend.algorithm(Problem.parse(text), RunOptions()).partition(",")[0] == algorithm


def test_random_problems():
    rng = np.random.default_rng(7)
    for _ in range(150):
        problem = random_problem(rng)
        given = operands(problem, rng.standard_normal)
        options = RunOptions(threads=int(rng.integers(1, 4)), workspace_limit=int(rng.choice([10**5, 2**26])))
        assert_right(problem, run(problem, *given, options=options), *given)


def random_problem(rng):
    def draw(low, high):
        return tuple(int(value) for value in rng.integers(low, high, 2))

    while True:
        groups = int(rng.choice([1, 1, 2, 3]))
        try:
            problem = Problem(
                str(rng.choice(PRIMITIVES)),
                int(rng.integers(0, 4)),
                groups * int(rng.integers(1, 9)),
                groups * int(rng.integers(1, 9)),
                draw(1, 30),
                draw(1, 6),
                draw(1, 4),
                (draw(0, 4), draw(0, 4)),
                draw(1, 4),
                groups,
                str(rng.choice(DTYPES)),
            )
        except ValueError:  # the kernel does not fit
            continue
        if rng.random() < 0.3:
            P, Q = problem.output_size
            problem = problem.replace(output_size=(int(rng.integers(1, P + 1)), int(rng.integers(1, Q + 1))))
        return problem
