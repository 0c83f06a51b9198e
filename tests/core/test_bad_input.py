"""Every bad argument is refused before a backend is called, in words that help."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

import convhub

X = np.ones((2, 4, 7, 6), "f4")
W = np.ones((6, 2, 3, 2), "f4")
G = np.ones((2, 6, 5, 5), "f4")
TX = np.ones((2, 6, 5, 5), "f4")
TG = np.ones((2, 4, 7, 6), "f4")

CALLS = {
    "conv2d": functools.partial(convhub.conv2d, groups=2),
    "conv2d_backward": functools.partial(convhub.conv2d_backward, groups=2),
    "conv_transpose2d": functools.partial(convhub.conv_transpose2d, groups=2),
    "conv_transpose2d_backward": functools.partial(convhub.conv_transpose2d_backward, groups=2),
}
ARGUMENTS = {
    "conv2d": {"input": X, "weight": W},
    "conv2d_backward": {"grad_output": G, "input": X, "weight": W},
    "conv_transpose2d": {"input": TX, "weight": W},
    "conv_transpose2d_backward": {"grad_output": TG, "input": TX, "weight": W},
}
FUNCTIONS = sorted(CALLS)


def refuse(function, words, **changes):
    """Assert that a call is refused in these words, with its arrays untouched."""
    arguments = ARGUMENTS[function] | changes
    before = {k: v.copy() for k, v in arguments.items() if isinstance(v, np.ndarray) and v.dtype != object}
    with pytest.raises((ValueError, TypeError)) as caught:
        CALLS[function](**arguments)
    assert isinstance(caught.value, convhub.ConvhubError), repr(caught.value)
    message = str(caught.value)
    for word in [words] if isinstance(words, str) else words:
        assert word in message
    for name, array in before.items():
        np.testing.assert_array_equal(arguments[name], array)
    return message


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_arguments_are_right_before_they_are_spoilt(function, toy):
    CALLS[function](**ARGUMENTS[function], backend=toy)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", ["stride", "dilation"])
@pytest.mark.parametrize("value", [0, -1, (1, 0), (-2, 1), 2**31, 10**30, (1, 10**30)])
def test_steps_below_one_or_huge(function, name, value):
    refuse(function, [f"{name} is {value!r}", "between 1 and 2147483647"], **{name: value})


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (function, name)
        for function in FUNCTIONS
        for name in ("stride", "padding", "dilation", "groups", "output_padding")
        if name != "output_padding" or "transpose" in function
    ],
)
@pytest.mark.parametrize(
    "value",
    [1.0, 2.5, math.nan, math.inf, True, False, np.True_, np.float32(1), None, b"1", {1, 2}, object()],
)
def test_parameters_that_are_no_integers(function, name, value):
    refuse(function, f"{name} is ", **{name: value})


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", ["stride", "padding", "dilation"])
@pytest.mark.parametrize(
    "value", [(), (1, 2, 3), (1, 1.0), (True, 1), (1, None), [1, "2"], ((1, 2, 3), (1, 2))]
)
def test_pairs_that_are_no_pairs_of_integers(function, name, value):
    refuse(function, f"{name} is ", **{name: value})


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("value", [-1, (0, -1), 2**31, 10**30])
def test_padding_negative_or_huge(function, value):
    refuse(function, [f"padding is {value!r}", "between 0 and"], padding=value)


@pytest.mark.parametrize("value", ["sam", "full", "", "SAME"])
def test_padding_of_an_unknown_name(value):
    refuse("conv2d", [f"padding is {value!r}", "'same' or 'valid'"], padding=value)


@pytest.mark.parametrize("function", ["conv2d", "conv2d_backward"])
@pytest.mark.parametrize("value", [(1, 1, 1, 1), [1, 2, 3, 4], ((1, 1), 1), ((1,), (1,))])
def test_padding_of_four_sides_shows_their_form(function, value):
    right = "of four sides it must be ((top, bottom), (left, right))"
    refuse(function, [f"padding is {value!r}; {right}"], padding=value)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("value", ["2", 2.0, (2, 2), None])
def test_groups_is_no_pair(function, value):
    message = refuse(function, [f"groups is {value!r}; it must be an integer of 1 or more"], groups=value)
    assert "pair" not in message


@pytest.mark.parametrize(
    ("function", "dimensions"),
    [
        ("conv2d", "(output channels, input channels / groups, kernel height, kernel width)"),
        ("conv_transpose2d", "(input channels, output channels / groups, kernel height, kernel width)"),
    ],
)
def test_a_weight_of_a_wrong_rank_is_told_its_dimensions(function, dimensions):
    refuse(function, dimensions, weight=np.ones((6, 2, 3), "f4"))


def test_padding_that_would_need_all_memory_there_is():
    refuse("conv2d", ["output would have shape", "check padding"], padding=2**24)
    refuse("conv2d", ["output of shape", "no 64-bit offset"], padding=2**31 - 1)


def test_same_padding_needs_stride_one():
    refuse("conv2d", "padding is 'same' with stride (2, 2)", padding="same", stride=2)


@pytest.mark.parametrize("function", ["conv_transpose2d", "conv_transpose2d_backward"])
@pytest.mark.parametrize("value", ["same", "valid", ((1, 1), (1, 1))])
def test_transposed_padding_is_an_integer_or_a_pair(function, value):
    refuse(function, f"padding is {value!r}", padding=value)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("value", [0, -1, 2**31, (1,), [2]])
def test_groups_out_of_range(function, value):
    refuse(function, f"groups is {value!r}", groups=value)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_channels_that_groups_do_not_divide(function):
    message = refuse(
        function,
        "must be a multiple of groups, which is 4",
        groups=4,
        **({"weight": np.ones((6, 1, 3, 2), "f4")} if function.startswith("conv2d") else {}),
    )
    assert "shape" in message


def test_weight_of_other_channels():
    refuse(
        "conv2d",
        [
            "weight of shape (6, 3, 3, 2) has 3 input channels for each group",
            "input of shape (2, 4, 7, 6) has 2 for each group; dimension 1 of weight must be 2",
        ],
        weight=np.ones((6, 3, 3, 2), "f4"),
    )
    refuse(
        "conv2d",
        ["has 3 input channels, input of shape (2, 4, 7, 6) has 4; dimension 1 of weight must be 4"],
        weight=np.ones((6, 3, 3, 2), "f4"),
        groups=1,
    )
    refuse(
        "conv2d",
        ["weight of shape (5, 2, 3, 2) has 5 output channels; they must be a multiple of groups"],
        weight=np.ones((5, 2, 3, 2), "f4"),
    )
    refuse(
        "conv_transpose2d",
        ["has 8 input channels, input of shape (2, 6, 5, 5) has 6; dimension 0 of weight must be 6"],
        weight=np.ones((8, 2, 3, 2), "f4"),
    )


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("shape", [(), (7,), (7, 6), (1, 2, 4, 7, 6)])
def test_input_of_a_wrong_rank(function, shape):
    refuse(function, [f"input has shape {shape}", "4 dimensions"], input=np.ones(shape, "f4"))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("shape", [(6, 2, 3), (6,), (6, 2, 3, 2, 1)])
def test_weight_of_a_wrong_rank(function, shape):
    refuse(function, [f"weight has shape {shape}", "4 dimensions"], weight=np.ones(shape, "f4"))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("name", "shape"), [("input", (2, 0, 5, 5)), ("input", (2, 4, 0, 5)), ("weight", (6, 2, 0, 2))]
)
def test_only_the_batch_may_be_empty(function, name, shape):
    refuse(function, f"{name} has shape {shape}", **{name: np.ones(shape, "f4")})


@pytest.mark.parametrize("function", ["conv2d", "conv_transpose2d"])
@pytest.mark.parametrize("shape", [(), (5,), (6, 1), (1, 6, 1, 1)])
def test_bias_of_a_wrong_shape(function, shape):
    refuse(function, [f"bias has shape {shape}", "must have shape ("], bias=np.ones(shape, "f4"))


@pytest.mark.parametrize("function", ["conv2d_backward", "conv_transpose2d_backward"])
@pytest.mark.parametrize("shape", [(2, 6, 5, 4), (2, 6, 5), (6, 5, 5), (1, 6, 5, 5), (2, 6, 5, 5, 1), ()])
def test_grad_output_of_a_wrong_shape(function, shape):
    right = "(2, 6, 5, 5)" if function == "conv2d_backward" else "(2, 4, 7, 6)"
    refuse(function, ["grad_output is", f"shape {shape}", right], grad_output=np.ones(shape, "f4"))


@pytest.mark.parametrize("function", ["conv2d", "conv2d_backward"])
def test_kernel_larger_than_the_image(function):
    refuse(function, ["weight has a kernel of (3, 2)", "spans 9", "has only 7"], dilation=4)


def test_transposed_padding_that_cuts_everything_off():
    refuse("conv_transpose2d", ["padding is (4, 0)", "each must be 1 or more"], padding=(4, 0))


@pytest.mark.parametrize("value", [1, (0, 1), (2, 0)])
def test_output_padding_of_stride_and_dilation_or_more(value):
    refuse(
        "conv_transpose2d",
        ["output_padding is", "smaller than stride (1, 1) or dilation (1, 1)"],
        output_padding=value,
    )


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    "dtype", [object, "S4", "U4", "M8[s]", "m8[s]", bool, [("a", "f4"), ("b", "f4")], ">f4", ">i8"]
)
@pytest.mark.parametrize("name", ["input", "weight"])
def test_dtypes_that_cannot_be_convolved(function, dtype, name):
    shape = ARGUMENTS[function][name].shape
    refuse(function, [f"{name} of shape {shape} has dtype"], **{name: np.zeros(shape, dtype)})


@pytest.mark.parametrize(
    ("function", "name"), [(function, name) for function in FUNCTIONS for name in ARGUMENTS[function]]
)
@pytest.mark.parametrize(
    "value", [None, 3, 2.5, "x", [[1.0]], (), np.float32(3), np.ma.ones((2, 4, 7, 6), "f4")]
)
def test_things_that_are_no_arrays(function, name, value):
    refuse(function, [f"{name} is "], **{name: value})


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", ["input", "weight"])
def test_mixed_dtypes(function, name):
    other = ARGUMENTS[function][name].astype("f8")
    message = refuse(function, ["has dtype", "float64", "float32", "must agree"], **{name: other})
    assert str(other.shape) in message


@pytest.mark.parametrize("function", FUNCTIONS)
def test_mixed_libraries(function):
    torch = pytest.importorskip("torch")
    weight = torch.from_numpy(ARGUMENTS[function]["weight"])
    refuse(function, ["weight", "library torch", "library numpy"], weight=weight)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("backend", [3, b"numpy", ["numpy"], True, np.str_("numpy"), object()])
def test_backends_that_are_no_names(function, backend):
    refuse(function, ["backend is", "must be the name of a backend"], backend=backend)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("backend", ["nunpy", "NUMPY", "numpy "])
def test_unknown_backends(function, backend):
    refuse(
        function,
        [f"backend is {backend!r}", "registered backends:", "Did you mean 'numpy'?"],
        backend=backend,
    )


@pytest.mark.parametrize("function", ["conv2d_backward", "conv_transpose2d_backward"])
@pytest.mark.parametrize("mask", [None, True, (True, True), (1, 1, 1), "abc", (True, True, None), [True] * 4])
def test_masks_that_are_not_three_booleans(function, mask):
    refuse(function, ["output_mask is", "three booleans"], output_mask=mask)


def test_torch_tensors_that_do_not_lie_in_memory():
    torch = pytest.importorskip("torch")
    weight = torch.from_numpy(W)
    for tensor in (torch.ones(X.shape).to_sparse(), torch.ones(X.shape, device="meta")):
        with pytest.raises((TypeError, ValueError), match="input") as caught:
            convhub.conv2d(tensor, weight, groups=2)
        assert isinstance(caught.value, convhub.ConvhubError)
    with pytest.raises(convhub.DtypeError, match="torch.bool"):
        convhub.conv2d(torch.ones(X.shape, dtype=torch.bool), weight, groups=2)


def test_integers_of_other_kinds_are_integers(toy):
    expected = convhub.conv2d(X, W, None, 2, (1, 0), 1, 2, backend=toy)
    for stride in (np.int64(2), np.uint8(2), np.array(2), (2,), [2, 2], (np.int32(2), 2)):
        result = convhub.conv2d(X, W, None, stride, [np.int8(1), 0], 1, np.int16(2), backend=toy)
        np.testing.assert_array_equal(result, expected)
