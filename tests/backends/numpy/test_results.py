"""The NumPy engine: right on each of its ways, in the memory it is given, with bits that do not vary."""

import threading
import tracemalloc

import numpy as np
import pytest
from convhub_numpy import bands, convhub_backends, plans, products
from convhub_numpy.tiles import tiling
from support.checking import GEOMETRIES, PRIMITIVES, assert_right, expected_nonfinite, problem_of, run

from convhub.backend import RunOptions
from convhub.problem import Problem
from convhub.reference.operands import operands
from convhub.reference.oracle import Operands

NUMPY = convhub_backends()[0]
MIB = 2**20


@pytest.fixture
def always_threads(monkeypatch):
    """Let small problems have threads too."""
    monkeypatch.setattr(plans, "WORTH_THREADS", 0)


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_right_for_every_parameter(primitive, geometry):
    for dtype in ("float32", "float64"):
        for kind in ("normal", "positive"):
            problem = problem_of(primitive, dtype, geometry)
            given = operands(problem, 0, kind, bias=True)
            # With little room, the same problem is cut into tiles and chunks of every shape.
            for limit in (64 * MIB, 1):
                result = run(NUMPY, problem, given, workspace_limit=limit)
                assert_right(result, problem, given)


DEPTHWISE = [
    "n2c5h23w17_k5r3s2_pad1-0x2-1_groups5",
    "n1c3h41w37_k6r3s5_stride2x3_pad1x2-3_groups3",
    "n3c6h19w23_k3r2s3_stride3x1_dilation2x3_pad2_groups3",
    "n1c1h67w71_k1r4s3_stride2x2_dilation3x2_pad5-4x1-7",
    "n40c2h9w7_k2r3s3_stride1x4_groups2",
    "n1c64h8w9_k64r5s5_pad2_groups64",
]


@pytest.fixture
def always_taps(monkeypatch):
    """Let problems with few pixels be computed as depthwise ones with many; their plans are not kept."""
    monkeypatch.setattr(plans, "uses_taps", lambda problem: True)
    forget_plans()
    yield
    forget_plans()


def forget_plans():
    plans.gather_plan.cache_clear()
    plans.weight_plan.cache_clear()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8", "complex64"])
@pytest.mark.parametrize("geometry", DEPTHWISE)
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_depthwise(primitive, geometry, dtype, monkeypatch, always_taps):
    problem = problem_of(primitive, dtype, geometry)
    given = operands(problem, 9, bias=True)
    for limit in (64 * MIB, 1):
        assert_right(run(NUMPY, problem, given, workspace_limit=limit), problem, given)
    # Bands of a few rows, groups and images.
    for size in (2**14, 2**12):
        monkeypatch.setattr(bands, "BAND_BYTES", size)
        forget_plans()
        assert_right(run(NUMPY, problem, given), problem, given)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("geometry", DEPTHWISE)
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_nan_and_infinity_in_depthwise(primitive, geometry, dtype, value, always_taps):
    problem = problem_of(primitive, dtype, geometry)
    for which in (0, 1):
        given = operands(problem, 4, "positive")
        given[which][0, 0, 0, 0] = value
        given[which][-1, -1, -1, -1] = value
        result = run(NUMPY, problem, given)
        assert np.array_equal(~np.isfinite(result), expected_nonfinite(problem, given))


def test_the_size_of_numpys_buffers_stays():
    before = np.getbufsize()
    problem = Problem.parse("forward_n1c64h8w9_k64r5s5_pad2_groups64")
    assert plans.gather_plan(problem, MIB).phases[0].bands
    run(NUMPY, problem, operands(problem, 0))
    assert np.getbufsize() == before


@pytest.mark.parametrize("dtype", NUMPY.capabilities.dtypes)
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_right_for_every_type(primitive, dtype):
    for geometry in ("grouped", "depthwise", "strided", "many_terms"):
        problem = problem_of(primitive, dtype, GEOMETRIES[geometry])
        given = operands(problem, 1, bias=True)
        assert_right(run(NUMPY, problem, given), problem, given)


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_small_integers_have_no_error(primitive, geometry):
    problem = problem_of(primitive, "float32", geometry)
    given = operands(problem, 2, "exact", bias=True)
    assert assert_right(run(NUMPY, problem, given), problem, given) == 0


def test_short_integers_of_the_largest_products_are_exact():
    problem = Problem.parse("forward_uint16_n1c600h3w3_k5r3s3")
    given = Operands(
        *(np.full(shape, 65535, np.uint16) for shape in (problem.input_shape, problem.weight_shape))
    )
    assert run(NUMPY, problem, given).ravel().tolist() == [65535**2 * 5400 % 2**16] * 5


@pytest.mark.parametrize("view", ["reversed", "fortran", "broadcast", "strided", "unaligned", "read_only"])
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_any_view(primitive, view):
    for geometry in ("pointwise", "depthwise", "grouped", "many_terms"):
        problem = problem_of(primitive, "float32", GEOMETRIES[geometry])
        given = operands(problem, 3, bias=True)
        seen = Operands(*(None if array is None else as_view(array, view) for array in given))
        before = [None if array is None else array.copy() for array in seen]
        assert_right(run(NUMPY, problem, seen), problem, seen)
        for array, copy in zip(seen, before, strict=True):
            assert array is None or np.array_equal(array, copy)


def as_view(array, kind):
    if kind == "reversed":
        return np.flip(np.flip(array).copy())
    if kind == "fortran":
        return np.asfortranarray(array)
    if kind == "broadcast":
        return np.broadcast_to(array[:1], array.shape)
    if kind == "strided":
        wide = np.full((*array.shape[:-1], 3 * array.shape[-1]), np.nan, array.dtype)
        wide[..., ::3] = array
        return wide[..., ::3]
    if kind == "unaligned":
        memory = np.empty(array.nbytes + 1, np.uint8)[1:]
        memory[:] = np.frombuffer(array.tobytes(), np.uint8)
        return memory.view(array.dtype).reshape(array.shape)
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64"])
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_nan_and_infinity_reach_their_results_and_no_other(primitive, dtype, value):
    for geometry in ("padded", "strided", "depthwise", "many_terms", "dilated"):
        problem = problem_of(primitive, dtype, GEOMETRIES[geometry])
        for which in (0, 1):
            given = operands(problem, 4, "positive")
            given[which][0, 0, 0, 0] = value
            given[which][-1, -1, -1, -1] = value
            result = run(NUMPY, problem, given)
            assert np.array_equal(~np.isfinite(result), expected_nonfinite(problem, given)), problem
            if np.isinf(value) and dtype != "complex64":
                assert not np.isnan(result).any(), problem


AWKWARD = [
    "n1c64h30w31_k48r3s3_pad1",
    "n2c512h7w7_k512r3s3_pad1",
    "n1c2048h3w3_k64r3s3",
    "n1c3h20w3000_k8r7s7_pad3",
    "n3c256h14w14_k1024r1s1_stride2",
    "n16c128h1w1_k1500r1s1",
    "n1c64h20w20_k64r3s3_groups64_pad1",
    "n1c1h500w500_k1r3s3",
    "n64c8h9w9_k16r3s3",
]


@pytest.mark.parametrize("geometry", AWKWARD)
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_memory_stays_below_the_limit(primitive, geometry, always_threads):
    for dtype in ("float32", "int8"):
        problem = problem_of(primitive, dtype, geometry)
        given = operands(problem, 5)
        reversed_ = Operands(*(None if a is None else a[..., ::-1] for a in given))
        for threads, these in ((1, given), (4, reversed_)):
            for limit in (MIB, 8 * MIB):
                used = peak(
                    lambda these=these, threads=threads, limit=limit, problem=problem: run(
                        NUMPY, problem, these, threads=threads, workspace_limit=limit
                    )
                )
                assert used <= limit, f"{problem}: {used} bytes with a limit of {limit}"


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_the_least_memory_is_as_documented(primitive):
    problem = problem_of(primitive, "float32", "n1c32h30w31_k48r3s3_pad1")
    given = operands(problem, 5)
    assert peak(lambda: run(NUMPY, problem, given, workspace_limit=1)) <= 2**16


def peak(call):
    """Return the most memory that a call holds beyond its result, in bytes."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        result = call()
        return tracemalloc.get_traced_memory()[1] - before - result.nbytes
    finally:
        tracemalloc.stop()


SHAPES = [
    "n1c64h28w29_k64r3s3_pad1",
    "n2c130h9w10_k33r3s3_pad1",
    "n1c300h13w14_k70r1s1",
    "n20c300h1w1_k100r1s1",
    "n1c700h1w1_k900r1s1",
    "n1c20h40w41_k1r5s5",
    "n1c1h40w41_k20r5s5_stride2",
    "n2c24h20w21_k48r3s3_pad1_groups3",
    "n1c40h40w41_k40r3s3_pad1_groups40",
    "n64c16h6w7_k16r3s3_pad1",
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "complex64", "complex128"])
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_same_bits_for_any_number_of_threads(primitive, dtype, always_threads):
    blas = pytest.importorskip("threadpoolctl", reason="it sets the BLAS's threads").ThreadpoolController()
    for geometry in SHAPES:
        problem = problem_of(primitive, dtype, geometry)
        given = operands(problem, 6)
        results = set()
        for blas_threads in (1, 2, 4, 8):
            with blas.limit(limits=blas_threads):
                for threads in (1, 3):
                    results.add(run(NUMPY, problem, given, threads=threads).tobytes())
        assert len(results) == 1, problem


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_same_bits_for_eight_callers_at_once(primitive):
    problem = problem_of(primitive, "float32", "n1c64h28w29_k64r3s3_pad1")
    given = operands(problem, 7)
    results = [b""] * 8

    def call(index):
        results[index] = run(NUMPY, problem, given, threads=2).tobytes()

    callers = [threading.Thread(target=call, args=(index,)) for index in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert set(results) == {run(NUMPY, problem, given).tobytes()}


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 64, 65, 300])
@pytest.mark.parametrize("terms", [1, 2, 9, 400, 4608])
@pytest.mark.parametrize("kind", ["f", "c"])
def test_pieces_of_a_product_stay_below_the_threshold(rows, terms, kind):
    for columns in (1, 2, 7, 31, 32, 33, 49, 1000):
        m, n, k = products.block_sizes(rows, columns, terms, kind)
        assert m <= rows
        assert n <= columns
        assert k <= terms
        limit = products.MOST_MULTIPLICATIONS[kind]
        if rows == 1 or columns == 1:
            limit = products.MOST_WITH_A_VECTOR
        assert m * n * k <= limit


@pytest.mark.parametrize("sizes", [(1, 300, 5), (3, 65, 700), (64, 500, 33), (2, 3, 4), (130, 129, 1)])
def test_products_in_pieces_are_products(sizes):
    rows, terms, columns = sizes
    rng = np.random.default_rng(8)
    a, b = (
        rng.integers(-9, 9, shape).astype(np.float64) for shape in ((2, rows, terms), (2, terms, columns))
    )
    out = np.full((2, rows, columns), 5.0)
    scratch = np.empty(out.size)
    products.multiply(a, b, out, scratch)
    assert np.array_equal(out, np.einsum("gmk,gkn->gmn", a, b))
    products.multiply(a, b, out, scratch, add=True)
    assert np.array_equal(out, 2 * np.einsum("gmk,gkn->gmn", a, b))


@pytest.mark.parametrize("most", [1, 2, 7, 30, 100, 1000])
def test_tiles_cover_each_pixel_once(most):
    tiles = tiling(5, 7, 11, most)
    seen = np.zeros((5, 1, 1, 7, 11), int)
    for index in range(len(tiles)):
        tile = tiles.tile(index)
        assert tile.pixels <= most
        assert all(size <= largest for size, largest in zip(tile.shape, tiles.largest, strict=True))
        seen[tile.places] += 1
    assert (seen == 1).all()


def test_algorithms_have_names():
    def name(text):
        return NUMPY.algorithm(Problem.parse(text), RunOptions())

    assert name("forward_n1c8h56w56_k8r3s3_pad1") == "im2col"
    assert name("forward_n1c8h56w56_k8r1s1") == "matmul"
    assert name("grad_weight_n1c8h56w56_k8r1s1") == "matmul"
    assert name("forward_n1c64h56w56_k64r3s3_pad1_groups64") == "bands"
    assert name("grad_weight_n1c64h56w56_k64r3s3_pad1_groups64") == "taps"
    assert name("grad_weight_float16_n1c64h56w56_k64r3s3_pad1_groups64") == "bands"
