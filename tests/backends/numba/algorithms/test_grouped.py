"""Layers with small groups in vectors of a group's channels, in the Numba engine."""

import numpy as np
import pytest

from convhub.backend import RunOptions
from convhub.reference.oracle import Operands

pytest.importorskip("numba", reason="the engine under test is made of Numba")

from convhub_numba import Options, backend
from convhub_numba.planner import make_plan
from support.checking import PRIMITIVES, assert_right, expected_nonfinite, operands_of, problem_of, run

GEOMETRIES = {
    "eight": "n2c16h11w14_k24r3s3_pad1_groups2",
    "sixteen": "n2c48h9w13_k48r3s3_pad1x0_groups3",
    "thirteen": "n1c26h9w10_k26r3s2_pad1_groups2",
    "channels_left_over": "n2c33h12w15_k27r3s3_pad1_groups3",
    "more_sources_than_lanes": "n1c30h8w9_k14r2s3_pad1_groups2",
    "one_source_channel": "n2c3h13w12_k18r3s3_pad1_groups3",
    "strided": "n2c24h14w15_k24r5s5_stride2_pad2_groups3",
    "strides_differ": "n2c14h19w21_k22r3s4_stride2x3_pad1-0x2-1_groups2",
    "stride_and_dilation_share_a_factor": "n1c16h17w20_k16r3s3_stride4x2_dilation2x4_pad3x1_groups2",
    "stride_past_the_kernel": "n2c16h13w17_k16r2s1_stride3x4_groups2",
    "taps_between_which_rows_miss": "n2c12h2w3_k12r3s2_stride3x2_dilation4x5_pad5x3_groups2",
    "kernel_larger_than_the_image": "n2c12h4w5_k12r7s9_pad3x4_groups2",
    "tiles_of_rows": "n1c16h131w154_k16r3s3_pad1_groups2",
    "truncated": "n2c16h16w19_k16r3s3_stride2x3_pad1_out5x4_groups2",
    "padding_past_the_kernel": "n2c16h3w2_k16r3s3_pad4x5_groups2",
    "only_padding_seen": "n1c16h2w3_k16r2s2_stride9x1_pad0-9x0_out1x1_groups2",
    "no_image": "n0c16h6w7_k16r3s2_stride2_groups2",
}


#: Each is compiled again for nearly every geometry: these see every way to cut channels and rows.
FOR_EVERY_TYPE = (
    "eight",
    "sixteen",
    "channels_left_over",
    "more_sources_than_lanes",
    "strides_differ",
    "stride_and_dilation_share_a_factor",
    "truncated",
)
TYPES = (("float32", 128), ("float32", 256), ("float64", 512), ("float16", 256), ("bfloat16", 512))


def assert_right_with(problem, bits):
    own = Options(vector_bits=bits, winograd="never")
    operands = operands_of(problem, np.random.default_rng(bits))
    assert_right(run(backend, problem, operands, backend=own), problem, operands)


@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_results(geometry, primitive):
    assert_right_with(problem_of(primitive, "float32", GEOMETRIES[geometry]), 512)


@pytest.mark.parametrize(("dtype", "bits"), TYPES)
@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", FOR_EVERY_TYPE)
def test_results_of_other_types_and_vector_widths(geometry, primitive, dtype, bits):
    assert_right_with(problem_of(primitive, dtype, GEOMETRIES[geometry]), bits)


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_they_are_what_is_tested(primitive):
    for name, geometry in GEOMETRIES.items():
        if (name, primitive) != ("one_source_channel", "grad_input"):
            options = RunOptions(backend=Options(winograd="never"))
            assert make_plan(problem_of(primitive, "float32", geometry), options).algorithm == "grouped"


@pytest.mark.parametrize("groups", [2, 16])
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_rows_too_long_for_scratch_memory_run_otherwise(primitive, groups):
    problem = problem_of(primitive, "float32", f"n1c16h1w2000000_k16r1s31_pad0x15_groups{groups}")
    for threads in (1, 8):
        assert make_plan(problem, RunOptions(threads=threads)).algorithm in ("indirect", "gemm", "dot")


@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", ["strided", "channels_left_over", "padding_past_the_kernel"])
def test_views_give_the_bits_of_contiguous_arrays(geometry, primitive):
    problem = problem_of(primitive, "float32", GEOMETRIES[geometry])
    operands = operands_of(problem, np.random.default_rng(3))
    expected = run(backend, problem, operands)
    for view in (lambda a: np.flip(np.flip(a).copy()), np.asfortranarray):
        views = Operands(*(None if a is None else view(a) for a in operands))
        np.testing.assert_array_equal(run(backend, problem, views), expected)


@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize(
    "geometry", ["n3c64h31w29_k64r3s3_stride2_pad1_groups8", "n2c48h40w41_k48r3s3_pad1_groups3"]
)
def test_bits_do_not_depend_on_threads_or_memory(geometry, primitive):
    problem = problem_of(primitive, "float32", geometry)
    operands = operands_of(problem, np.random.default_rng(4))
    expected = run(backend, problem, operands)
    for threads, limit in ((1, 2**21), (2, 2**26), (3, 2**26), (8, 2**26)):
        result = run(backend, problem, operands, threads=threads, workspace_limit=limit)
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_long_sums_of_one_sign_stay_within_the_bound(primitive):
    problem = problem_of(primitive, "float32", "n5c24h60w67_k24r5s5_pad2_groups2")
    operands = operands_of(problem, np.random.default_rng(6))
    operands = Operands(*(None if a is None else abs(a) for a in operands))
    assert_right(run(backend, problem, operands), problem, operands)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_what_is_not_finite_stays_in_its_window(primitive, value):
    problem = problem_of(primitive, "float32", "n2c24h14w15_k18r5s4_stride2_groups3")
    generator = np.random.default_rng(5)
    operands = operands_of(problem, generator)
    # In grad_input the kernel reaches past dy, and infinity times zero is NaN.
    for place in range(1 if primitive == "grad_input" else 2):
        poisoned = operands[place].copy()
        poisoned[tuple(generator.integers(0, size) for size in poisoned.shape)] = value
        changed = operands._replace(**{Operands._fields[place]: poisoned})
        result = run(backend, problem, changed)
        np.testing.assert_array_equal(~np.isfinite(result), expected_nonfinite(problem, changed))
