"""A call that was found right is remembered, and never taken for another that only looks like it."""

from __future__ import annotations

import numpy as np
import pytest

import convhub
from convhub import arguments
from convhub.dispatch.choose import choose
from convhub.dispatch.request import BackendRequest
from convhub.errors import ArgumentError, ArgumentTypeError, ConvhubError, MixedArraysError, ShapeError


@pytest.fixture
def x():
    return np.arange(30, dtype="float32").reshape(1, 1, 6, 5)


@pytest.fixture
def w():
    return np.array([[1, -2, 4], [3, 0, -1]], "float32").reshape(1, 1, 2, 3)


ALIKE = [True, np.True_, 1.0, np.float64(1), 1 + 0j, (1, True), (1.0, 1), [True, 1], "1"]


@pytest.mark.parametrize("value", ALIKE, ids=repr)
@pytest.mark.parametrize("name", ["stride", "padding", "dilation", "groups"])
def test_what_equals_one_is_still_refused(name, value, x, w):
    for right in (1, *([(1, 1), [1, 1]] if name != "groups" else [])):
        assert convhub.conv2d(x, w, **{name: right}) is not None
    with pytest.raises((ArgumentError, ArgumentTypeError)):
        convhub.conv2d(x, w, **{name: value})


@pytest.mark.parametrize("value", [0, False, 0.0], ids=repr)
def test_what_equals_no_padding_is_still_refused(value, x, w):
    right = convhub.conv2d(x, w, padding=((0, 0), (0, 0)))
    if type(value) is int:
        assert np.array_equal(convhub.conv2d(x, w, padding=value), right)
    for wrong in (value, (0, value), ((0, 0), (0, value))):
        if type(value) is not int:
            with pytest.raises(ArgumentTypeError):
                convhub.conv2d(x, w, padding=wrong)


def test_lists_and_numpys_integers_are_remembered_as_what_they_are(x, w):
    pad = [[1, 0], [0, 2]]
    first = convhub.conv2d(x, w, stride=[2, 1], padding=pad)
    assert np.array_equal(first, convhub.conv2d(x, w, stride=(2, np.int8(1)), padding=((1, 0), (0, 2))))
    pad[0][0] = 2  # the list is the caller's, and may change
    second = convhub.conv2d(x, w, stride=[2, 1], padding=pad)
    assert np.array_equal(
        second, convhub.conv2d(np.pad(x, ((0, 0), (0, 0), (2, 0), (0, 2))), w, stride=(2, 1))
    )


def test_a_gradient_is_not_taken_for_a_bias(x, w):
    third = np.ones((1, 1, 5, 3), "float32")
    assert convhub.conv2d_backward(third, x, w).bias == 15
    with pytest.raises(ShapeError, match="bias has shape"):
        convhub.conv2d(x, w, third)
    bias = np.ones(1, "float32")
    assert convhub.conv2d(x, w, bias).shape == third.shape
    with pytest.raises(ShapeError, match="grad_output is a numpy.ndarray of shape"):
        convhub.conv2d_backward(bias, x, w)


def test_an_operation_is_not_taken_for_the_other(x):
    w = np.ones((1, 1, 2, 3), "float32")
    assert convhub.conv2d(x, w).shape == (1, 1, 5, 3)
    assert convhub.conv_transpose2d(x, w).shape == (1, 1, 7, 7)


def test_another_dtype_byte_order_or_kind_of_array_is_looked_at_anew(x, w):
    convhub.conv2d(x, w)
    with pytest.raises(MixedArraysError):
        convhub.conv2d(x, w.astype("float64"))
    for wrong in (x.astype(">f4"), np.ma.masked_array(x), x.tolist(), x.astype(object), None):
        with pytest.raises(ConvhubError):
            convhub.conv2d(wrong, w)
    assert convhub.conv2d(x.astype("float64"), w.astype("float64")).dtype == "float64"


def test_settings_count_from_the_next_call_on(x, w, toy, monkeypatch):
    def backend():
        convhub.conv2d(x, w)
        return choose(
            arguments.conv2d_call({"input": x, "weight": w}, 1, 0, 1, 1)[0].problem, BackendRequest(None, "")
        )

    assert backend().backend.name != toy
    monkeypatch.setenv("CONVHUB_BACKEND", toy)
    assert backend().backend.name == toy
    monkeypatch.setenv("CONVHUB_THREADS", "3")
    assert backend().options.threads == 3
    monkeypatch.setenv("CONVHUB_THREADS", "5")
    assert backend().options.threads == 5
    monkeypatch.delenv("CONVHUB_THREADS")
    monkeypatch.delenv("CONVHUB_BACKEND")
    assert backend().backend.name != toy


def test_no_more_is_remembered_than_there_is_room_for(monkeypatch, w):
    monkeypatch.setattr(arguments, "_known", {})
    x = np.ones((1, 1, 4, 3), "float32")
    convhub.conv2d(x, w)
    ((key, call),) = arguments._known.items()
    arguments._known.update({(number,): call for number in range(4095)})
    convhub.conv2d(x[:, :, 1:], w)
    assert len(arguments._known) == 1
    assert key not in arguments._known
