from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convhub import ArgumentError, Problem, ShapeError
from convhub.problem import PRIMITIVES, full_output_size, transposed_output_size, with_primitive


def count_windows(size, kernel, stride, padding, dilation):
    """Count the places of a window by trying them, which no formula can get wrong."""
    places = range(-padding[0], size + padding[1], stride)
    return sum(place + dilation * (kernel - 1) < size + padding[1] for place in places)


@given(
    st.integers(1, 20),
    st.integers(1, 5),
    st.integers(1, 6),
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    st.integers(1, 4),
)
def test_output_size_is_the_number_of_windows_that_fit(size, kernel, stride, padding, dilation):
    expected = count_windows(size, kernel, stride, padding, dilation)
    assert max(0, full_output_size(size, kernel, stride, padding, dilation)) == expected


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "dilation"), [(7, 3, 2, 1, 2), (5, 4, 3, 0, 1)]
)
def test_transposed_size_is_undone_by_the_forward_size(size, kernel, stride, padding, dilation):
    for output_padding in range(stride):
        grown = transposed_output_size(size, kernel, stride, padding, output_padding, dilation)
        assert full_output_size(grown, kernel, stride, (padding, padding), dilation) == size


problems = st.builds(
    lambda primitive, n, g, c, k, h, w, r, s, stride, padding, dilation, dtype, device: dict(
        primitive=primitive,
        batch=n,
        in_channels=g * c,
        out_channels=g * k,
        input_size=(h, w),
        kernel_size=(r, s),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=g,
        dtype=dtype,
        device=device,
    ),
    st.sampled_from(PRIMITIVES),
    *[st.integers(0, 3)],
    *[st.integers(1, 4)] * 3,
    *[st.integers(9, 30)] * 2,
    *[st.integers(1, 3)] * 2,
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.sampled_from(["float32", "float64", "bfloat16", "complex128", "int8"]),
    st.sampled_from(["cpu", "cuda"]),
)


@given(problems, st.data())
def test_text_is_read_back(fields, data):
    problem = Problem(**fields)
    P, Q = problem.output_size
    shorter = problem.replace(output_size=(data.draw(st.integers(1, P)), data.draw(st.integers(1, Q))))
    for one in (problem, shorter):
        text = str(one)
        assert Problem.parse(text) == one
        assert " " not in text
        assert Problem.parse(text.replace("_", " , ").replace("grad , ", "grad_")) == one


def test_text_of_a_whole_problem():
    text = "grad_input_float64_n2c4h9w8_k6r3s2_stride2x1_pad1-2x0_dilation1x3_groups2_out4x5_cuda"
    problem = Problem.parse(text)
    assert str(problem) == text
    assert problem.padding == ((1, 2), (0, 0))
    assert problem.output_size == (4, 5)
    assert problem.weight_shape == (6, 2, 3, 2)


def test_parts_stand_in_any_order_and_one_number_serves_both_axes():
    problem = Problem.parse("pad1 k8r3s3 stride2, n1c3h32w31 float64")
    assert problem == Problem("forward", 1, 3, 8, (32, 31), (3, 3), (2, 2), ((1, 1), (1, 1)), dtype="float64")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "lacks batch (n)"),
        ("n1c1h4w4", "lacks out_channels (k)"),
        ("n1c1h4w4k1r3s3 strid2", "Did you mean 'stride'"),
        ("froward_n1c1h4w4k1r3s3", "Did you mean 'forward'"),
        ("n1c1h4w4k1r3s3 n2", "gives batch twice"),
        ("n1c1h4w4k1r3s3 stridex2", "write it as stride2x2"),
        ("n1c1h4w4k1r3s3 groups2x2", "write it as groups2"),
        ("n1c1h4w4k1r5s3", "has only 4, and must have 5 or more"),
        ("n1c1h4w4k1r3s3 stride0", "stride[0] is 0"),
        ("n1c3h4w4k2r3s3 groups2", "in_channels is 3; it must be a multiple of groups, which is 2"),
        ("n1c1h4w4k1r3s3 out3x2", "outside 1..2"),
        ("n1c1h4w4k1r3s3 float8", "Did you mean 'float"),
    ],
)
def test_bad_texts_say_what_would_be_right(text, words):
    with pytest.raises(ArgumentError) as caught:
        Problem.parse(text)
    assert words in str(caught.value)


@pytest.mark.parametrize("value", [1.0, True, None, "2", 2**63])
def test_sizes_are_integers(value):
    with pytest.raises(ArgumentError, match="in_channels is"):
        Problem("forward", 1, value, 1, (4, 4), (3, 3))


@pytest.mark.parametrize(
    "fields",
    [
        {"input_size": 4},
        {"input_size": (4,)},
        {"input_size": [4, 4]},
        {"kernel_size": (3, 3, 3)},
        {"padding": (1, 1)},
        {"padding": 1},
        {"device": "gpu"},
        {"output_size": (2, -1)},
        {"dtype": "float"},
        {"primitive": "backward"},
    ],
)
def test_malformed_fields_are_refused(fields):
    right = {"primitive": "forward", "batch": 1, "in_channels": 1, "out_channels": 1, "input_size": (4, 4)}
    with pytest.raises(ArgumentError, match=next(iter(fields))):
        Problem(**(right | {"kernel_size": (3, 3)} | fields))


def test_sizes_beyond_64_bits_are_refused():
    with pytest.raises(ShapeError, match="no 64-bit offset"):
        Problem("forward", 2**40, 2**10, 1, (2**10, 2**10), (1, 1))


def test_derived_figures_by_counting():
    problem = Problem.parse("n2c4h5w6k6r3s2_groups2_pad1x0")
    N, K, P, Q = problem.output_shape
    per_output = list(itertools.product(range(4 // 2), range(3), range(2)))
    assert problem.macs == N * K * P * Q * len(per_output)
    assert problem.terms == len(per_output)
    assert with_primitive(problem, "grad_input").terms == 6 // 2 * 3 * 2
    assert with_primitive(problem, "grad_weight").terms == N * P * Q
    assert (problem.input_bytes, problem.weight_bytes) == (2 * 4 * 5 * 6 * 4, 6 * 2 * 3 * 2 * 4)
