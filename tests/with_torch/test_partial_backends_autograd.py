"""Autograd through a backend that has no gradients of its own."""

from __future__ import annotations

import dataclasses
import types
import warnings

import pytest
import torch
from support import toy_backend

import convhub
from convhub import plugins
from convhub.backend import hookimpl


@pytest.fixture(autouse=True)
def calls():
    """Register *partial*, which has forward alone, first where none is named; give who computed what."""
    events = []
    partial = dataclasses.replace(
        toy_backend.toy, name="partial", grad_input=None, grad_weight=None, preference={"cpu": 10**6}
    )
    hooks = {"convhub_backends": lambda: [partial], "convhub_called": lambda event: events.append(event)}
    plugins.register(types.SimpleNamespace(**{n: hookimpl(f) for n, f in hooks.items()}), "partial_plugin")
    yield events
    plugins.unregister("partial_plugin")


def operands():
    random = torch.Generator().manual_seed(0)
    shapes = ((2, 2, 6, 7), (4, 2, 3, 3))
    return [torch.randn(s, generator=random, dtype=torch.float64).requires_grad_() for s in shapes]


def gradients(function, *tensors, **named):
    y = function(*tensors, padding=1, **named)
    return torch.autograd.grad((y * y).sum(), tensors)


def who(events):
    return [(event.problem.primitive, event.backend) for event in events]


def test_where_none_is_named_others_give_the_gradients(calls, monkeypatch):
    monkeypatch.setenv("CONVHUB_PRIORITY", "partial, numpy")
    x, w = operands()
    torch.testing.assert_close(gradients(convhub.conv2d, x, w), gradients(torch.nn.functional.conv2d, x, w))
    assert who(calls) == [("forward", "partial"), ("grad_input", "numpy"), ("grad_weight", "numpy")]
    # Of second order, whose forward convolutions are its own again.
    assert torch.autograd.gradgradcheck(convhub.conv2d, (x, w), fast_mode=True)
    assert {backend for primitive, backend in who(calls) if primitive == "forward"} == {"partial"}


@pytest.mark.parametrize("named_by", ["argument", "context"])
def test_where_it_is_named_the_backward_pass_is_refused(named_by):
    x, w = operands()
    if named_by == "argument":
        y = convhub.conv2d(x, w, backend="partial")
    else:
        with convhub.use_backend("partial"):
            y = convhub.conv2d(x, w)
    with pytest.raises(convhub.UnsupportedProblemError) as caught:
        y.sum().backward()
    assert f"backend 'partial' (from {named_by}) does not run grad_input_float64_" in str(caught.value)
    assert "has no grad_input; it offers forward. With fallback = true" in str(caught.value)
    assert x.grad is None


def test_with_fallback_others_give_the_gradients_and_it_is_said_once(calls, monkeypatch):
    monkeypatch.setenv("CONVHUB_PRIORITY", "numpy")
    monkeypatch.setenv("CONVHUB_FALLBACK", "1")
    x, w = operands()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            found = gradients(convhub.conv2d, x, w, backend="partial")
    torch.testing.assert_close(found, gradients(torch.nn.functional.conv2d, x, w))
    assert who(calls)[:3] == [("forward", "partial"), ("grad_input", "numpy"), ("grad_weight", "numpy")]
    said = [str(warning.message).partition(": ")[2].partition(";")[0] for warning in caught]
    assert said == ["has no grad_input", "has no grad_weight"]
    assert {warning.filename for warning in caught} == {__file__}
