"""The gradient of a depthwise layer's weight in vectors of channels, in the Numba engine."""

import numpy as np
import pytest

from convhub.arrays import numpy_dtype
from convhub.backend import RunOptions
from convhub.reference.oracle import Operands

pytest.importorskip("numba", reason="the engine under test is made of Numba")

from convhub_numba import Options, backend
from convhub_numba.algorithms.channelwise.depthwise_blocks_weight import (
    groups_of_taps,
    most_sums,
    sums_at_once,
)
from convhub_numba.planner import make_plan
from convhub_numba.stage import Tile
from support.checking import TYPES_AND_WIDTHS, assert_right, expected_nonfinite, problem_of, run

GEOMETRIES = {
    "narrow": "n2c16h9w3_k16r3s3_pad1_groups16",
    "fewer_pixels_than_lanes": "n3c37h3w4_k37r3s3_pad1x0_groups37",
    "strided": "n2c33h14w15_k33r5s5_stride2_pad2_groups33",
    "strides_differ": "n2c17h19w21_k17r3s4_stride2x3_pad1-0x2-1_groups17",
    "stride_and_dilation_share_a_factor": "n1c18h17w20_k18r3s3_stride4x2_dilation2x4_pad3x1_groups18",
    "taps_between_which_rows_miss": "n2c16h2w3_k16r3s2_stride3x2_dilation4x5_pad5x3_groups16",
    "stride_past_the_kernel": "n2c16h13w17_k16r2s1_stride3x4_groups16",
    "kernel_larger_than_the_image": "n3c16h7w6_k16r13s11_pad6x5_groups16",
    "many_taps": "n1c19h21w33_k19r23s19_pad11x9_groups19",
    "tiles_of_rows": "n1c16h121w134_k16r5s3_pad2x1_dilation1x2_groups16",
    "truncated": "n2c16h16w19_k16r3s3_stride2x3_pad1_out5x4_groups16",
    "padding_past_the_kernel": "n2c16h3w2_k16r3s3_pad4x5_groups16",
    "only_padding_seen": "n1c16h2w3_k16r2s2_stride9x1_pad0-9x0_out1x1_groups16",
    "no_image": "n0c16h6w7_k16r3s2_stride2_groups16",
}


def gradient_operands(problem, generator):
    shapes = problem.output_shape, problem.input_shape
    return Operands(
        *(generator.standard_normal(shape).astype(numpy_dtype(problem.dtype)) for shape in shapes), None
    )


@pytest.mark.parametrize(("dtype", "bits"), TYPES_AND_WIDTHS)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_results_at_every_vector_width(geometry, dtype, bits):
    problem = problem_of("grad_weight", dtype, GEOMETRIES[geometry])
    own = Options(vector_bits=bits)
    assert make_plan(problem, RunOptions(backend=own)).algorithm == "depthwise"
    operands = gradient_operands(problem, np.random.default_rng(bits))
    assert_right(run(backend, problem, operands, backend=own), problem, operands)


@pytest.mark.parametrize("geometry", ["strided", "many_taps", "fewer_pixels_than_lanes"])
def test_views_give_the_bits_of_contiguous_arrays(geometry):
    problem = problem_of("grad_weight", "float32", GEOMETRIES[geometry])
    operands = gradient_operands(problem, np.random.default_rng(3))
    expected = run(backend, problem, operands)
    turned = Operands(*(np.flip(np.flip(a).copy()) for a in operands[:2]), None)
    fortran = Operands(*(np.asfortranarray(a) for a in operands[:2]), None)
    for views in (turned, fortran):
        np.testing.assert_array_equal(run(backend, problem, views), expected)


@pytest.mark.parametrize("limit", [2**20, 2**26])
@pytest.mark.parametrize(
    "geometry", ["n3c130h31w29_k130r5s5_stride2_pad2_groups130", "n3c70h7w7_k70r13s13_pad6_groups70"]
)
def test_bits_do_not_depend_on_threads(geometry, limit):
    problem = problem_of("grad_weight", "float32", geometry)
    operands = gradient_operands(problem, np.random.default_rng(4))
    results = [run(backend, problem, operands, threads=n, workspace_limit=limit) for n in (1, 2, 3, 8)]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_long_sums_of_one_sign_stay_within_the_bound():
    problem = problem_of("grad_weight", "float32", "n9c16h90w97_k16r3s3_pad1_groups16")
    generator = np.random.default_rng(6)
    operands = Operands(*(abs(array) for array in gradient_operands(problem, generator)[:2]), None)
    assert_right(run(backend, problem, operands), problem, operands)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_channel(value):
    problem = problem_of("grad_weight", "float32", "n2c33h14w15_k33r5s4_stride2_groups33")
    generator = np.random.default_rng(5)
    operands = gradient_operands(problem, generator)
    for place in range(2):
        poisoned = operands[place].copy()
        poisoned[tuple(generator.integers(0, size) for size in poisoned.shape)] = value
        changed = operands._replace(**{Operands._fields[place]: poisoned})
        result = run(backend, problem, changed)
        np.testing.assert_array_equal(~np.isfinite(result), expected_nonfinite(problem, changed))


@pytest.mark.parametrize("bits", [128, 256, 512])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_groups_of_taps_cover_the_kernel_and_what_it_meets(geometry, bits):
    problem = problem_of("grad_weight", "float32", GEOMETRIES[geometry])
    tile = Tile(1, 1, bits // 32, 4)
    at_once = sums_at_once(problem, tile)
    assert 1 <= at_once[0] * at_once[1] <= most_sums(tile)
    for axis, number in enumerate(at_once):
        met = set()
        for first, low, high in groups_of_taps(problem, axis, number):
            assert 0 <= first <= problem.kernel_size[axis] - number
            met |= {(tap, output) for tap in range(first, first + number) for output in range(low, high)}
        for tap in range(problem.kernel_size[axis]):
            for output in range(problem.output_size[axis]):
                at = output * problem.stride[axis] + tap * problem.dilation[axis] - problem.padding[axis][0]
                assert (tap, output) in met or not 0 <= at < problem.input_size[axis]
