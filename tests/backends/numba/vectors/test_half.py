"""How the Numba engine's kernels widen and narrow numbers, against NumPy's and ml_dtypes' own conversions."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="the engine under test is made of Numba")
pytest.importorskip("ml_dtypes", reason="it has NumPy's bfloat16")

from convhub_numba.vectors import half as narrow
from convhub_numba.vectors.half import as_stored, narrow_for, widen
from convhub_numba.vectors.moves import copy_every, copy_vector
from numba import njit

from convhub.arrays import numpy_dtype

DTYPES = ("float16", "bfloat16")
EDGES = (
    0.0,
    2.0**-149,
    2.0**-134,
    2.0**-126,
    2.0**-25,
    2.0**-24,
    2.0**-14,
    1.0,
    2049.0,
    65504.0,
    65520.0,
    3.4e38,
)


def compiled_anew():
    """Ways to convert an array: number by number, by vectors, and by vectors of every second or fourth."""

    @njit
    def widen_scalars(to, source):
        for i in range(source.size):
            to[i] = widen(source[i])

    @njit
    def narrow_scalars(to, source):
        for i in range(source.size):
            to[i] = narrow_for(source[i], to)

    @njit
    def by_vectors(to, source):
        for i in range(0, source.size, 8):
            copy_vector(to, i, source, i, 8)

    @njit
    def every_second(to, source):
        for i in range(0, source.size, 8):
            copy_every(to, i // 2, source, i, 2, 1, 4)

    @njit
    def every_fourth(to, source):
        for i in range(0, source.size, 8):
            copy_every(to, i // 4, source, i, 4, 4, 8)

    return widen_scalars, narrow_scalars, by_vectors, every_second, every_fourth


@pytest.fixture(scope="module", params=["instructions", "arithmetic"])
def conversions(request):
    """The same, with the machine's instructions for float16 (where it has them) and without."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "arithmetic":
            patch.setattr(narrow, "has_half_instructions", lambda: False)
        functions = compiled_anew()
        for dtype in DTYPES:
            stored = as_stored(np.zeros(8, numpy_dtype(dtype)), dtype)
            wide = np.zeros(8, np.float32)
            for function in (functions[0], *functions[2:]):
                function(wide, stored)
            for function in functions[1:3]:
                function(stored, wide)
        yield functions


def float32_samples():
    """Numbers of all magnitudes, ties of both narrow types, infinities and NaN, a multiple of 8 of them."""
    rng = np.random.default_rng(11)
    bits = rng.integers(0, 2**32, 2**21, dtype=np.uint32)
    medium = rng.standard_normal(2**21) * 2.0 ** rng.integers(-30, 20, 2**21)
    medium_bits = medium.astype(np.float32).view(np.uint32)
    half_ties, brain_ties = medium_bits & 0xFFFFE000 | 0x1000, bits & 0xFFFF0000 | 0x8000
    edges = np.array([*EDGES, np.inf], np.float32).view(np.int32)
    around = (edges[:, None] + np.arange(-4, 4, dtype=np.int32)).ravel().view(np.uint32)
    signs = np.array([[0], [0x80000000]], np.uint32)
    return np.concatenate([bits, medium_bits, half_ties, brain_ties, (around ^ signs).ravel()]).view(
        np.float32
    )


def assert_same_numbers(result, expected):
    """Bit for bit, but that a NaN may be any of its sign."""
    nan = np.isnan(expected)
    assert np.array_equal(np.isnan(result), nan)
    assert np.array_equal(np.signbit(result), np.signbit(expected))
    unsigned = f"u{expected.itemsize}"
    assert np.array_equal(result.view(unsigned)[~nan], expected.view(unsigned)[~nan])


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_numbers_are_widened_exactly(dtype, conversions):
    every = np.arange(2**16).astype(np.uint16).view(numpy_dtype(dtype))
    with np.errstate(invalid="ignore"):  # signalling NaNs
        expected = every.astype(np.float32)
    widen_scalars, _, by_vectors, every_second, every_fourth = conversions
    result = np.empty_like(expected)
    for function in (widen_scalars, by_vectors):
        result.fill(0)
        function(result, as_stored(every, dtype))
        assert_same_numbers(result, expected)
    every_second(result, as_stored(every, dtype))
    assert_same_numbers(result[: every.size // 2], expected[::2])
    every_fourth(result, as_stored(every, dtype))
    assert_same_numbers(result[: every.size // 4], expected[::4])


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_are_narrowed_to_nearest_even(dtype, conversions):
    samples = float32_samples()
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        expected = samples.astype(numpy_dtype(dtype))
    _, narrow_scalars, by_vectors, *_ = conversions
    for function in (narrow_scalars, by_vectors):
        result = np.zeros_like(expected)
        function(as_stored(result, dtype), samples)
        assert_same_numbers(result, expected)


def test_the_samples_reach_every_case():
    samples = float32_samples()
    assert samples.size % 8 == 0
    for dtype in DTYPES:
        numbers = np.abs(samples[np.isfinite(samples)])
        with np.errstate(over="ignore", under="ignore"):
            stored = numbers.astype(numpy_dtype(dtype)).astype(np.float32)
        assert np.isinf(stored).any()
        assert ((stored == 0) & (numbers > 0)).any()
        assert ((stored > numbers) & np.isfinite(stored)).any()
        assert (stored < numbers).any()
    assert np.isnan(samples).any()
