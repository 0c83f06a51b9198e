"""Winograd's algorithm in CUDA, in the emulator: results, NaN and infinity, planted faults, when it runs."""

import numpy as np
import pytest

pytest.importorskip("ml_dtypes", reason="the oracle knows bfloat16")

from convhub_cupy import Options, arguments, convhub_backends
from convhub_cupy.runtime.cupy_runtime import INCLUDES
from gpu.emulator import EmulatedRuntime, why_not
from support.checking import assert_right, expected_nonfinite, operands_of, problem_of, run
from support.cupy_checking import Engine, algorithm_of, assert_right_with, plant, run_sanitized

from convhub.backend import RunOptions
from convhub.problem import Problem
from convhub.reference.bounds import NORMWISE_FACTOR
from convhub.reference.oracle import exact

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

(CUPY,) = convhub_backends()
ALWAYS = Options(winograd="always")
PRIMITIVES = ("forward", "grad_input")

#: A block has 64 channels and 32 tiles of 2 by 2, takes 8 channels in a step, and sums 256 in a run.
GEOMETRIES = {
    "past_one_block": "n3c19h15w11_k70r3s3_pad1",
    "past_one_block_backwards": "n2c70h11w15_k19r3s3_pad1",
    "even": "n2c9h12w18_k66r3s3_pad1",
    "no_padding": "n2c20h13w18_k17r3s3",
    "asymmetric": "n3c16h9w7_k33r3s3_pad1-2x2-0",
    "padding_past_the_kernel": "n2c6h4w5_k7r3s3_pad3x4",
    "one_output": "n1c4h3w3_k3r3s3",
    "one_row": "n5c8h3w41_k9r3s3",
    "one_column": "n5c8h41w3_k9r3s3",
    "one_channel": "n2c1h9w9_k1r3s3_pad1",
    "groups": "n2c26h11w10_k134r3s3_pad1_groups2",
    "depthwise": "n2c5h10w7_k5r3s3_pad1_groups5",
    "two_runs": "n2c270h13w11_k70r3s3_pad1-0x2-1",
    "three_runs_backwards": "n1c5h7w9_k520r3s3_pad1",
    "fewer_outputs_than_fit": "n2c7h12w13_k8r3s3_pad1_out7x10",
}


#: Of the bound of the class normwise, which has room for larger tiles. What is right takes half of this.
PART = 0.25 / NORMWISE_FACTOR
#: What is not finite is computed plainly: so is what a fault has made NaN, and that must not hide it.
NOT_RECOMPUTED = ("for (; wrong; wrong", "for (; false; wrong")


@pytest.fixture(scope="module")
def not_recomputed(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("not_recomputed"), "winograd.cu", NOT_RECOMPUTED)


@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_results(geometry, primitive, not_recomputed):
    runtime = EmulatedRuntime(seed=3, folder=not_recomputed)
    problem = problem_of(primitive, "float32", GEOMETRIES[geometry])
    assert assert_right_with(runtime, problem, accuracy="normwise", backend=ALWAYS) <= PART
    assert [name for _, name, *_ in runtime.launched] == ["winograd_weight", "winograd"]


@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", ["past_one_block", "groups", "two_runs"])
def test_64_bit_indices_give_the_same_bits(geometry, primitive, monkeypatch):
    problem = problem_of(primitive, "float32", GEOMETRIES[geometry])
    operands = operands_of(problem, np.random.default_rng(2))
    results = []
    for limit, index in ((arguments.INT_LIMIT, "int"), (0, "long long")):
        monkeypatch.setattr(arguments, "INT_LIMIT", limit)
        runtime = EmulatedRuntime()
        results.append(run(Engine(runtime), problem, operands, backend=ALWAYS))
        assert all(f"-DINDEX={index}" in options for _, _, options, *_ in runtime.launched)
    np.testing.assert_array_equal(*results)


def test_a_stride_of_channels_that_is_too_long_for_eight_steps_takes_64_bits():
    problem = problem_of("forward", "float32", "n1c2h4w5_k1r3s3")
    operands = operands_of(problem, np.random.default_rng(2))
    mostly_untouched = np.empty(2**28 + 20, np.float32)
    apart = np.lib.stride_tricks.as_strided(mostly_untouched, (1, 2, 4, 5), (0, 2**30, 20, 4))
    apart[...] = operands.first
    runtime = EmulatedRuntime()
    result = run(Engine(runtime), problem, operands._replace(first=apart), backend=ALWAYS)
    assert assert_right(result, problem, operands, "normwise") <= PART
    assert all("-DINDEX=long long" in options for _, _, options, *_ in runtime.launched)


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_views_give_the_bits_of_contiguous_arrays(primitive):
    problem = problem_of(primitive, "float32", GEOMETRIES["asymmetric"])
    operands = operands_of(problem, np.random.default_rng(3))
    engine_ = Engine(EmulatedRuntime())
    expected = run(engine_, problem, operands, backend=ALWAYS)

    def every_second(array):
        larger = np.full([2 * size + 1 for size in array.shape], np.nan, array.dtype)
        view = larger[tuple(slice(1, None, 2) for _ in array.shape)]
        view[...] = array
        return view

    def reversed_(array):
        return np.flip(np.flip(array).copy())

    for view in (every_second, reversed_, np.asfortranarray):
        result = run(engine_, problem, operands.map(view), backend=ALWAYS)
        np.testing.assert_array_equal(result, expected)


def test_without_a_bias():
    problem = problem_of("forward", "float32", GEOMETRIES["two_runs"])
    operands = operands_of(problem, np.random.default_rng(4), bias=False)
    result = run(Engine(EmulatedRuntime()), problem, operands, backend=ALWAYS)
    assert assert_right(result, problem, operands, "normwise") <= PART


def test_bits_do_not_depend_on_the_order_of_blocks():
    problem = problem_of("forward", "float32", GEOMETRIES["two_runs"])
    operands = operands_of(problem, np.random.default_rng(5))
    results = [run(Engine(EmulatedRuntime(seed)), problem, operands, backend=ALWAYS) for seed in range(3)]
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_equal_terms_do_not_add_up_their_errors():
    """Where all terms are alike, each addition errs the same way; runs keep that from growing."""
    problem = problem_of("forward", "float32", "n1c2048h4w4_k1r3s3")
    operands = operands_of(problem, np.random.default_rng(6), bias=False)
    alike = operands.map(lambda array: np.full_like(array, 0.1))
    result = run(Engine(EmulatedRuntime()), problem, alike, backend=ALWAYS)
    assert assert_right(result, problem, alike, "normwise") <= PART


def poisoned(operands, value):
    """Return the operands with something that is not finite in the first of them, and in the second."""
    generator = np.random.default_rng(7)
    first, second = operands.first.copy(), operands.second.copy()
    for _ in range(3):
        first[tuple(generator.integers(0, size) for size in first.shape)] = value
    second[1, 0, 0, 1] = second[-1, -1, 2, 2] = value
    return operands._replace(first=first), operands._replace(second=second)


def assert_reaches_what_it_must(runtime, problem, value):
    """Positive numbers, so that an infinity keeps its sign: a sum of both would be NaN."""
    operands = operands_of(problem, np.random.default_rng(8)).map(np.abs)
    clean = exact(problem, operands).value
    for given in poisoned(operands, value):
        reached = expected_nonfinite(problem, given)
        assert reached.any()
        assert not reached.all()
        expected = np.where(reached, value, clean)
        result = run(Engine(runtime), problem, given, backend=ALWAYS)
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * clean.max())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", ["past_one_block", "asymmetric", "groups", "two_runs"])
def test_what_is_not_finite_reaches_only_the_outputs_that_see_it(geometry, primitive, value):
    problem = problem_of(primitive, "float32", GEOMETRIES[geometry])
    assert_reaches_what_it_must(EmulatedRuntime(), problem, value)


def test_a_bias_that_is_not_finite_reaches_its_channel():
    problem = problem_of("forward", "float32", GEOMETRIES["past_one_block"])
    operands = operands_of(problem, np.random.default_rng(9))
    operands.bias[66] = -np.inf
    result = run(Engine(EmulatedRuntime()), problem, operands, backend=ALWAYS)
    assert (result[:, 66] == -np.inf).all()
    assert np.isfinite(np.delete(result, 66, axis=1)).all()


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_transforms_that_overflow_are_computed_plainly(primitive):
    assert_overflow_is_mended(EmulatedRuntime(), primitive)


def assert_overflow_is_mended(runtime, primitive):
    problem = problem_of(primitive, "float32", "n1c4h12w12_k3r3s3_pad1")
    operands = operands_of(problem, np.random.default_rng(9))
    for first, second in ((2e38, 0.01), (0.01, 2e38)):
        huge = operands._replace(
            first=np.sign(operands.first) * np.float32(first),
            second=np.sign(operands.second) * np.float32(second),
        )
        result = run(Engine(runtime), problem, huge, backend=ALWAYS)
        assert np.isfinite(result).all()
        assert_right(result, problem, huge, "normwise")


LARGE = "float32_n4c64h28w28_k64r3s3_pad1"


def algorithm(text, **options):
    return algorithm_of(Problem.parse(text), **options)


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_it_runs_where_it_is_likely_to_gain(primitive):
    text = f"{primitive}_{LARGE}"
    assert algorithm(text) == "winograd"
    assert CUPY.accuracy_of(Problem.parse(text), RunOptions()) == "normwise"
    assert CUPY.algorithm(Problem.parse(text), RunOptions()).startswith(
        "winograd, tiles of 64 by 128, 41 blocks"
    )
    for other in (
        text.replace("c64", "c16").replace("k64", "k16"),  # too few channels
        text.replace("k64", "k8"),  # most of a block would be empty
        text.replace("h28w28", "h7w7").replace("n4", "n1"),  # the weight is more work than the pixels
    ):
        assert algorithm(other) == "implicit_gemm"
        assert algorithm(other, backend=ALWAYS) == "winograd"


@pytest.mark.parametrize(
    "options",
    [
        {"accuracy": "strict"},
        {"accuracy": "strict", "backend": ALWAYS},
        {"backend": Options(winograd="never")},
        {"workspace_limit": 64 * 64 * 16 * 4 - 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_what_keeps_it_out(primitive, options):
    problem = Problem.parse(f"{primitive}_{LARGE}")
    assert algorithm(f"{primitive}_{LARGE}", **options) == "implicit_gemm"
    assert CUPY.accuracy_of(problem, RunOptions(**options)) == "componentwise"
    assert algorithm(f"{primitive}_{LARGE}", workspace_limit=64 * 64 * 16 * 4) == "winograd"


@pytest.mark.parametrize(
    "text",
    [
        f"grad_weight_{LARGE}",
        f"forward_{LARGE}".replace("float32", "float64"),
        f"forward_{LARGE}".replace("float32", "float16"),
        f"forward_{LARGE}".replace("r3s3", "r3s2"),
        f"forward_{LARGE}_stride1x2",
        f"grad_input_{LARGE}_stride2x1",
        f"forward_{LARGE}_dilation2x1",
        f"forward_{LARGE}".replace("n4", "n0"),
    ],
)
def test_other_problems_never_take_it(text):
    assert algorithm(text, backend=ALWAYS) != "winograd"


FAULTS = {
    "no barrier before the products": ("keep();\n            __syncthreads();", "keep();"),
    "no barrier after the products": ("multiply();\n            __syncthreads();", "multiply();"),
    "no barrier before outputs are made": (
        "            __syncthreads();\n#pragma unroll\n            for (int half",
        "#pragma unroll\n            for (int half",
    ),
    "no barrier after outputs are made": (
        "            __syncthreads();\n        }\n    } while",
        "        }\n    } while",
    ),
    "a step is summed twice": ("if (more) read(c0);", ""),
    "an odd row has no tile": ("tiles_high = (rows_count + 1) / 2", "tiles_high = rows_count / 2"),
    "a column too many is read": ("w >= 0 && w < width) << i", "w >= 0 && w <= width) << i"),
    "pixels with a wrong sign": ("pixels[1][s] - pixels[3][s]", "pixels[1][s] + pixels[3][s]"),
    "outputs with a wrong sign": ("high[r][1] - high[r][2] - high[r][3]", "high[r][1] - high[r][2]"),
    "a tap is dropped": ("0.5f * (high[r][0] + high[r][2])", "0.5f * high[r][0]"),
    "a bank is taken for another": ("(lane ^ (slot / 2 % 4 * 8))", "(lane ^ (slot % 4 * 8))"),
    "only the last run counts": ("if (c0 > RUN_CHANNELS) {", "if (false) {"),
    "the bias is added in each run": ("c0 >= C && bias ?", "bias ?"),
    "a group's weights are another's": ("(at.g * STEPS(C) * BLOCKS_M(M)", "(0 * STEPS(C) * BLOCKS_M(M)"),
}  # fmt: skip
FAULTY = "n2c540h8w13_k140r3s3_pad1-0x2-1_groups2"


def is_seen(folder, seed=0):
    problem = problem_of("forward", "float32", FAULTY)
    try:
        return (
            assert_right_with(EmulatedRuntime(seed, folder=folder), problem, 10, "normwise", backend=ALWAYS)
            > PART
        )
    except AssertionError:
        return True


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault, tmp_path):
    file = "winograd_weight.cu" if "tap" in fault else "winograd.cu"
    folder = plant(tmp_path, file, FAULTS[fault], *([NOT_RECOMPUTED] if file == "winograd.cu" else []))
    assert any(is_seen(folder, seed) for seed in range(6))


def test_the_kernel_without_a_fault_is_not_seen(not_recomputed):
    assert not is_seen(not_recomputed)


@pytest.mark.parametrize(
    "fault",
    [
        ("wrong |= 1u << bit;", ";"),
        ("wrong |= 2u << bit;", ";"),
        ("channel_of(bit / 8, warp +", "channel_of(bit / 8 % 2, warp +"),
        ("w < 0 || w >= width) continue;", "w < 0) continue;"),
        ("if (bias) total +=", "if (false) total +="),
    ],
    ids=["left columns are left", "right columns are left", "other channels", "beyond the image", "no bias"],
)
def test_a_fault_in_what_is_computed_plainly_is_seen(fault, tmp_path):
    runtime = EmulatedRuntime(folder=plant(tmp_path, "winograd.cu", fault))
    problem = problem_of("forward", "float32", "n2c9h9w9_k70r3s3_pad1")
    with pytest.raises(AssertionError):
        for value in (np.nan, np.inf):
            assert_reaches_what_it_must(runtime, problem, value)
        assert_overflow_is_mended(runtime, "forward")


TEXTS = [
    f"{primitive}_float32_{GEOMETRIES[geometry]}"
    for primitive in PRIMITIVES
    for geometry in ("past_one_block", "asymmetric", "groups", "two_runs", "one_output")
]


def test_sanitizers_find_nothing(tmp_path):
    done = run_sanitized(tmp_path, INCLUDES, TEXTS, own={"winograd": "always"})
    assert done.returncode == 0, done.stderr[-3000:]
    assert "all clean" in done.stdout


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("winograd.cu", "h < height && w >= 0", "h <= height && w >= 0"),
        ("winograd.cu", "if (!at.exists || m >= M) continue;", "if (!at.exists || m > M) continue;"),
        ("winograd_weight.cu", "if (m < M && c < C) {", "if (m < M) {"),
    ],
    ids=["a row too many is read", "a channel too many is written", "weights of no channel are read"],
)
def test_sanitizers_find_an_edge_that_is_off_by_one(tmp_path, file, old, new):
    folder = plant(tmp_path, file, (old, new))
    done = run_sanitized(tmp_path, folder, ["forward_float32_n1c9h5w7_k63r3s3"], own={"winograd": "always"})
    assert done.returncode != 0
    assert "AddressSanitizer" in done.stderr
