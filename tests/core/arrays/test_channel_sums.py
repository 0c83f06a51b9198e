"""The gradient of a bias: within the bound of its sum in whatever order the terms lie in memory."""

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest

import convhub
from convhub.arrays import channel_sum

SHAPES = {"large images": (1, 2, 500, 400), "many small images": (30_000, 3, 2, 2), "rows": (4000, 1, 1, 40)}
ORDERS = list(permutations(range(4)))


def laid_out(shape, order, value, dtype):
    """Return an array of that shape whose axes lie in memory in that order, the last side by side."""
    return np.full([shape[axis] for axis in order], value, dtype).transpose(np.argsort(order))


def ratio(total, array):
    """Return the error of sums of equal numbers in units of its bound."""
    terms, value = array.shape[0] * array.shape[2] * array.shape[3], array[0, 0, 0, 0]
    narrow = array.dtype.itemsize == 2
    epsilon = np.finfo(np.float32 if narrow else array.dtype).eps
    worst = 0.0
    for part, of in ((total.real, value.real), (total.imag, value.imag)):
        right = terms * Fraction(float(of))
        allowed = (8 + terms**0.5) * float(epsilon) * abs(float(right))
        allowed += 2.0**-11 * float(right) if narrow else 0
        errors = [abs(float(Fraction(float(each)) - right)) for each in part]
        worst = max(worst, max(errors) / allowed if right else max(errors))
    return worst


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_the_bound_holds_in_every_order_of_memory(name, dtype):
    value = 0.1 + 0.3j if dtype.startswith("complex") else 0.1
    for order in ORDERS:
        array = laid_out(SHAPES[name], order, value, dtype)
        total = channel_sum(array)
        assert total.dtype == array.dtype
        assert ratio(total, array) <= 1, order


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex128"])
def test_so_it_does_for_tensors(dtype):
    torch = pytest.importorskip("torch")
    for order in ORDERS:
        array = laid_out(SHAPES["many small images"], order, 0.1, dtype)
        total = channel_sum(torch.from_numpy(array))
        assert ratio(total.numpy(), array) <= 1, order


def test_bfloat16_is_summed_in_more_bits():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.full((400, 200, 1, 3), 0.1, ml_dtypes.bfloat16).transpose(0, 3, 1, 2)
    (total, *_), right = channel_sum(array), 80_000 * float(array[0, 0, 0, 0])
    assert abs(float(total) - right) <= 2.0**-8 * right


def test_views_that_step_backwards_or_stand_still_are_summed():
    array = np.full((3000, 2, 40), 0.1).transpose(1, 0, 2)[:, ::-1, ::2]
    for view in (np.broadcast_to(array[:, None], (2, 3, 3000, 20)), array[None]):
        assert ratio(channel_sum(view), view) <= 1


def test_a_million_terms_that_lie_apart_are_right():
    grad_output = laid_out((1, 2, 1000, 1000), (0, 2, 3, 1), 0.1, "float64")
    ones = np.ones((1, 1, 1000, 1000)), np.ones((2, 1, 1, 1))
    gradients = convhub.conv2d_backward(grad_output, *ones, output_mask=(False, False, True), backend="numpy")
    assert ratio(gradients.bias, grad_output) <= 1


def test_no_large_copy_is_made():
    import tracemalloc

    grad_output = laid_out((1, 2, 1000, 1000), (0, 2, 3, 1), 0.1, "float64")
    channel_sum(grad_output)
    tracemalloc.start()
    channel_sum(grad_output)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20
