"""A backend that offers one primitive, one dtype and one kernel size: what it runs, and who runs the rest."""

from __future__ import annotations

import dataclasses
import types
import warnings

import numpy as np
import pytest
from support import toy_backend

import convhub
from convhub import plugins
from convhub.backend import Capabilities, hookimpl

RANDOM = np.random.default_rng(0)


def integers(*shape, dtype="float32"):
    """Return small integers, of which sums are exact in any order."""
    return RANDOM.integers(-3, 3, shape, endpoint=True).astype(dtype)


X, W, DY = integers(2, 3, 6, 7), integers(4, 3, 3, 3), integers(2, 4, 4, 5)
#: A gradient of conv_transpose2d, for its input is a forward convolution.
WIDE = integers(2, 3, 8, 9)


def supports(problem):
    kernel = "x".join(map(str, problem.kernel_size))
    return kernel == "3x3" or f"takes kernels of 3x3 only, not {kernel}"


@pytest.fixture(autouse=True)
def calls():
    """Register *partial*, first of all where none is named, and give who computed what."""
    events = []
    capabilities = Capabilities(dtypes=("float32",))
    partial = dataclasses.replace(
        toy_backend.toy,
        name="partial",
        capabilities=capabilities,
        grad_input=None,
        grad_weight=None,
        supports=supports,
        preference={"cpu": 10**6},
    )
    hooks = {"convhub_backends": lambda: [partial], "convhub_called": lambda event: events.append(event)}
    plugins.register(types.SimpleNamespace(**{n: hookimpl(f) for n, f in hooks.items()}), "partial_plugin")
    yield events
    plugins.unregister("partial_plugin")


def who(events):
    return [(event.problem.primitive, event.backend) for event in events]


def naive(function, *arguments):
    return function(*arguments, backend="naive")


def test_what_it_declares_it_runs_named_or_not(calls):
    right = naive(convhub.conv2d, X, W)
    calls.clear()
    for named in ({}, {"backend": "partial"}):
        assert np.array_equal(convhub.conv2d(X, W, **named), right)
    assert who(calls) == [("forward", "partial")] * 2


@pytest.mark.parametrize(
    ("function", "operands", "words"),
    [
        (convhub.conv2d, (X.astype("f8"), W.astype("f8")), "takes float32 in forward, not float64"),
        (convhub.conv2d, (X, integers(4, 3, 5, 5)), "takes kernels of 3x3 only, not 5x5"),
        (convhub.conv_transpose2d, (DY, W), "has no grad_input; it offers forward"),
        (convhub.conv2d_backward, (DY, X, W), "has no grad_input; it offers forward"),
        (convhub.conv_transpose2d_backward, (WIDE, X, integers(3, 2, 3, 3)), None),
    ],
)
def test_what_it_does_not_is_refused_where_it_is_named(function, operands, words):
    if words is None:  # whose gradient for the input it offers, and that for the weight it does not
        operands, words = (integers(2, 2, 8, 9), *operands[1:]), "has no grad_weight; it offers forward"
    with pytest.raises(convhub.UnsupportedProblemError) as caught:
        function(*operands, backend="partial")
    assert "backend 'partial' (from argument) does not run " in str(caught.value)
    assert words in str(caught.value)
    assert "With fallback = true, the next backend that can run it is used" in str(caught.value)
    with convhub.use_backend("partial"), pytest.raises(convhub.UnsupportedProblemError, match="from context"):
        function(*operands)


def test_where_none_is_named_the_next_runs_what_it_lacks_primitive_by_primitive(calls):
    rest = convhub.explain("grad_input_n1c3h6w7_k4r3s3").backend
    right = naive(convhub.conv2d_backward, DY, X, W)
    calls.clear()
    convhub.conv2d(X, W)
    found = convhub.conv2d_backward(DY, X, W)
    convhub.conv2d(X, integers(4, 3, 5, 5))
    expected = [("forward", "partial"), ("grad_input", rest), ("grad_weight", rest), ("forward", rest)]
    assert who(calls) == expected
    assert rest != "partial"
    assert all(np.array_equal(one, other) for one, other in zip(found, right, strict=True))


def test_a_configured_order_does_the_same_without_a_word(calls, monkeypatch):
    monkeypatch.setenv("CONVHUB_PRIORITY", "partial, numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convhub.conv2d(X, W)
        convhub.conv2d_backward(DY, X, W)
    assert who(calls) == [("forward", "partial"), ("grad_input", "numpy"), ("grad_weight", "numpy")]


def test_fallback_warns_once_for_each_kind_of_problem(calls, monkeypatch):
    monkeypatch.setenv("CONVHUB_PRIORITY", "numpy")
    monkeypatch.setenv("CONVHUB_FALLBACK", "1")
    monkeypatch.setenv("CONVHUB_BACKEND", "partial")
    right = naive(convhub.conv2d_backward, DY, X, W)
    calls.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        convhub.conv2d(X, W)
        found = convhub.conv2d_backward(DY, X, W)
        # Other sizes are no other kind: nobody wants a line for each image.
        for size in (1, 2, 5):
            convhub.conv2d(X, integers(4, 3, size, size))
        convhub.conv2d_backward(DY[:1], X[:1], W)
        convhub.conv2d(X.astype("f8"), W.astype("f8"))
    messages = [str(warning.message) for warning in caught]
    assert [message.partition(": ")[2] for message in messages] == [
        f"{reason}; 'numpy' runs it, since fallback is on"
        for reason in (
            "has no grad_input; it offers forward",
            "has no grad_weight; it offers forward",
            "takes kernels of 3x3 only, not 1x1",
            "takes float32 in forward, not float64",
        )
    ]
    assert who(calls)[:3] == [("forward", "partial"), ("grad_input", "numpy"), ("grad_weight", "numpy")]
    assert calls[1].source == "fallback from partial"
    assert all(np.array_equal(one, other) for one, other in zip(found, right, strict=True))


def test_fallback_to_nobody_says_what_each_says(monkeypatch):
    monkeypatch.setenv("CONVHUB_PRIORITY", "partial")
    monkeypatch.setenv("CONVHUB_FALLBACK", "1")
    with pytest.raises(convhub.UnsupportedProblemError) as caught:
        convhub.conv_transpose2d(DY, W, backend="partial")
    assert "  partial: has no grad_input; it offers forward" in str(caught.value)
    assert "  numpy: can run it, but only when it is named" in str(caught.value)


def test_explain_tells_what_it_offers():
    parts = convhub.explain(convhub.conv2d_backward, DY, X, W).parts
    assert all("partial" not in part.backend for part in parts)
    for part in parts:
        verdict = dict(part.verdicts)["partial"]
        assert verdict == f"has no {part.problem.primitive}; it offers forward"
    assert convhub.explain(convhub.conv2d, X, W).backend == "partial"
    text = str(convhub.explain(convhub.conv2d, X, integers(4, 3, 2, 2)))
    assert "  partial: takes kernels of 3x3 only, not 2x2" in text
