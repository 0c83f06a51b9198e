"""Depthwise layers in vectors of channels, in the Numba engine."""

import numpy as np
import pytest

from convhub.backend import RunOptions
from convhub.reference.oracle import Operands

pytest.importorskip("numba", reason="the engine under test is made of Numba")

from convhub_numba import Options, backend
from convhub_numba.planner import make_plan
from support.checking import TYPES_AND_WIDTHS, assert_right, expected_nonfinite, operands_of, problem_of, run

GEOMETRIES = {
    "narrow": "n2c16h9w3_k16r3s3_pad1_groups16",
    "channels_left_over": "n2c37h3w4_k37r3s3_pad1x0_groups37",
    "strided": "n2c33h14w15_k33r5s5_stride2_pad2_groups33",
    "strides_differ": "n2c17h19w21_k17r3s4_stride2x3_pad1-0x2-1_groups17",
    "stride_and_dilation_share_a_factor": "n1c18h17w20_k18r3s3_stride4x2_dilation2x4_pad3x1_groups18",
    "stride_past_the_kernel": "n2c16h13w17_k16r2s1_stride3x4_groups16",
    "kernel_larger_than_the_image": "n3c16h7w6_k16r13s11_pad6x5_groups16",
    "many_taps": "n1c19h21w33_k19r23s19_pad11x9_groups19",
    "tiles_of_rows": "n1c16h121w134_k16r5s3_pad2x1_dilation1x2_groups16",
    "padding_past_the_kernel": "n2c16h3w2_k16r3s3_pad4x5_groups16",
    "only_padding_seen": "n1c16h2w3_k16r2s2_stride9x1_pad0-9x0_out1x1_groups16",
    "no_image": "n0c16h6w7_k16r3s2_stride2_groups16",
}


@pytest.mark.parametrize(("dtype", "bits"), TYPES_AND_WIDTHS)
@pytest.mark.parametrize("primitive", ["forward", "grad_input"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_results_at_every_vector_width(geometry, primitive, dtype, bits):
    problem = problem_of(primitive, dtype, GEOMETRIES[geometry])
    own = Options(vector_bits=bits)
    if bits == 512:  # for shorter vectors some of these rows are long enough to be taken as they lie
        assert make_plan(problem, RunOptions(backend=own)).algorithm == "depthwise"
    operands = operands_of(problem, np.random.default_rng(bits))
    assert_right(run(backend, problem, operands, backend=own), problem, operands)


@pytest.mark.parametrize("primitive", ["forward", "grad_input"])
@pytest.mark.parametrize("geometry", ["strided", "many_taps"])
def test_views_give_the_bits_of_contiguous_arrays(geometry, primitive):
    problem = problem_of(primitive, "float32", GEOMETRIES[geometry])
    operands = operands_of(problem, np.random.default_rng(3))
    expected = run(backend, problem, operands)
    turned = Operands(*(np.flip(np.flip(a).copy()) for a in operands))
    fortran = Operands(*(np.asfortranarray(a) for a in operands))
    for views in (turned, fortran):
        np.testing.assert_array_equal(run(backend, problem, views), expected)


@pytest.mark.parametrize("primitive", ["forward", "grad_input"])
@pytest.mark.parametrize("geometry", ["tiles_of_rows", "strided", "kernel_larger_than_the_image"])
def test_bits_do_not_depend_on_threads_or_memory(geometry, primitive):
    problem = problem_of(primitive, "float32", GEOMETRIES[geometry])
    operands = operands_of(problem, np.random.default_rng(4))
    results = [run(backend, problem, operands, threads=threads) for threads in (1, 2, 3, 8)]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("primitive", ["forward", "grad_input"])
def test_what_is_not_finite_stays_in_its_channel_and_window(primitive):
    problem = problem_of(primitive, "float32", "n2c33h14w15_k33r5s4_stride2_groups33")
    generator = np.random.default_rng(5)
    operands = operands_of(problem, generator)
    first = operands.first.copy()
    for value in (np.nan, np.inf):
        first[tuple(generator.integers(0, size) for size in first.shape)] = value
    second = operands.second.copy()
    second[32, 0, 1, 2] = -np.inf
    poisoned = [operands._replace(first=first)]
    if primitive == "forward":  # in grad_input the kernel reaches past dy, and infinity times zero is NaN
        poisoned.append(operands._replace(second=second))
    for operands in poisoned:
        result = run(backend, problem, operands)
        np.testing.assert_array_equal(~np.isfinite(result), expected_nonfinite(problem, operands))
