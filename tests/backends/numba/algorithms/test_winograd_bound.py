"""Every scheme of Winograd's that the planner takes keeps the promised bound, whatever the operands."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from convhub.problem import PRIMITIVES

pytest.importorskip("numba", reason="the engine under test is made of Numba")

from convhub_numba.algorithms.winograd.blocks import MOST_TAPS, SIDES
from convhub_numba.algorithms.winograd.error import greatest_error
from convhub_numba.algorithms.winograd.matrices import Scheme
from support.winograd_model import WIDER, constants, factors, largest_magnitude, sum_of_products, tiles

AXES = [Scheme(1, 1), *(Scheme(side, taps) for taps in range(2, MOST_TAPS + 1) for side in SIDES)]
STRIDED = [
    Scheme(side, taps, stride, spread)
    for side, taps, stride, spread in itertools.product((2, 4), (3, 5, 7), (2, 3), (False, True))
]
KINDS = ("signs", "aligned", "single", "normal", "ones", "alternating", "wide")


PAIRS = list(itertools.product(KINDS, KINDS))


def operand(kind, matrices, channels, rng):
    """Return a tile of an operand for each channel, the worst ones among them; `matrices` transform it."""
    shape = (len(matrices[0][0]), len(matrices[1][0]), channels)
    alike = rng.choice([-1.0, 1.0], shape) * (1 + rng.random(shape) / 64)
    match kind:
        case "signs":
            return alike
        case "aligned":  # with one row of each axis's transform, which then cancels nothing
            rows = [rng.choice(np.array(matrix, float), channels) for matrix in matrices]
            return np.abs(alike) * np.where(np.einsum("ci,cj->ijc", *rows) < 0, -1, 1)
        case "single":  # one tap of a kernel, or one bright pixel in a tile
            chosen = np.zeros(shape)
            chosen[
                rng.integers(shape[0], size=channels),
                rng.integers(shape[1], size=channels),
                np.arange(channels),
            ] = 1
            return alike * chosen
        case "normal":
            return rng.standard_normal(shape)
        case "ones":
            return np.ones(shape) * (1 + rng.random(channels))
        case "alternating":
            return (
                np.abs(alike) * (-1.0) ** np.add.outer(np.arange(shape[0]), np.arange(shape[1]))[:, :, None]
            )
        case "wide":
            return alike * 2.0 ** rng.integers(-12, 13, shape)
    raise AssertionError(kind)


def errors(dtype, primitive, high, wide, rng, results, channels):
    """Return errors of `results` tiles for each pair of kinds, over what the planner takes for the largest.

    They are of one unit in the last place of the largest sum of magnitudes, as `greatest_error`.
    """
    parts = [factors(axis, primitive) for axis in (high, wide)]
    made = [
        np.concatenate(
            [operand(pair[k], [part[k + 1] for part in parts], results * channels, rng) for pair in PAIRS], 2
        )
        for k in (0, 1)
    ]
    first, second = (values.astype(dtype) for values in made)
    exactly = (values.astype(WIDER[dtype]) for values in (first, second))
    error = tiles(dtype, primitive, high, wide, first, second) - sum_of_products(
        primitive, high, wide, *exactly
    )
    error = error.reshape(*error.shape[:2], -1, channels).sum(-1)
    magnitude = largest_magnitude(primitive, high, wide, first, second, channels)
    worst = np.abs(error).max((0, 1)).astype(float)
    assert not worst[magnitude == 0].any()  # a pixel and a tap of different phases never meet
    return worst / np.where(magnitude, magnitude, 1) / (np.finfo(dtype).eps * greatest_error(high, wide))


@pytest.mark.parametrize("primitive", ["forward", "grad_weight"])
def test_no_pair_of_schemes_errs_by_more_than_the_planner_takes_it_to(primitive):
    rng, found, count, over = np.random.default_rng(1), [], 0, 0
    pairs = [
        (h, w) for h, w in itertools.combinations_with_replacement(AXES, 2) if h.outputs > 1 or w.outputs > 1
    ]
    for turn, (high, wide) in enumerate(pairs):
        dtype = ("float32", "float64")[turn % 2]
        ratios = errors(dtype, primitive, high, wide, rng, 1, 1)
        count, over = count + ratios.size, over + np.count_nonzero(ratios > 1)
        found.append((ratios.max(), high, wide, dtype))
    print(f"one channel: {over} of {count} tiles over; worst {max(found)}")
    assert over <= count / 1000
    assert max(found)[0] < 1.5


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_with_sixteen_channels_half_of_it_is_left(primitive):
    rng, found = np.random.default_rng(2), []
    axes = [axis for axis in (*AXES, *STRIDED) if axis.spread <= (primitive == "grad_input")]
    for turn, high in enumerate(axes):
        if high.outputs == 1:
            continue
        wide = axes[rng.integers(len(axes))] if turn % 2 else high
        found.append((errors("float32", primitive, high, wide, rng, 1, 16).max(), high, wide))
    print(f"16 channels: worst {max(found)}")
    assert max(found)[0] < 0.5


@pytest.mark.parametrize("value", [1, 3])
@pytest.mark.parametrize(
    ("high", "wide", "dtype"),
    # Sums of 4 x 4 outputs have more than 24 bits from 75 channels on, and the planner takes them from 105.
    [
        (high, wide, dtype)
        for high, wide, dtype in itertools.product((2, 3, 4), (2, 3, 4), ("float32", "float64"))
        if (high, wide, dtype) != (4, 4, "float32")
    ],
)
def test_constants_give_exact_sums(high, wide, dtype, value):
    schemes = Scheme(high, 3), Scheme(wide, 3)
    for channels in (*range(16, 65), 96, 104):
        found = constants(dtype, *schemes, value, channels)
        np.testing.assert_array_equal(found, 9 * value * channels)
