"""A backend is told, once for a problem, which calls will probably follow."""

from __future__ import annotations

import numpy as np
import pytest

import convhub
from convhub import plugins
from convhub.backend import Backend, Capabilities, hookimpl
from convhub.dispatch import expect

X, W = np.ones((1, 2, 5, 4)), np.ones((3, 2, 2, 3))


@pytest.fixture
def told(monkeypatch):
    """Register a backend that notes what it is told, and computes by the one called numpy."""
    told = []
    numpys = plugins.registry().backends["numpy"].backend

    class Plugin:
        @staticmethod
        @hookimpl
        def convhub_backends():
            return [
                Backend(
                    "told",
                    Capabilities(dtypes=("float64",)),
                    numpys.forward,
                    numpys.grad_input,
                    numpys.grad_weight,
                    expect=lambda problem, options: told.append((problem, options)),
                )
            ]

        convhub_contract = 1

    monkeypatch.setattr(expect, "_told", set())
    plugins.register(Plugin, "told")
    yield told
    plugins.unregister("told")


def primitives(told):
    return [problem.primitive for problem, _ in told]


def test_of_the_second_gradient_before_the_first_is_computed(told):
    grads = convhub.conv2d_backward(np.ones((1, 3, 4, 2)), X, W, backend="told")
    assert grads.weight.shape == W.shape
    assert primitives(told) == ["grad_weight"]
    assert told[0][1].threads >= 1
    convhub.conv2d_backward(np.ones((1, 3, 4, 2)), X, W, backend="told")
    assert len(told) == 1
    convhub.conv2d(X, W, backend="told")
    assert len(told) == 1


def test_of_the_only_gradient_nobody_needs_to_be_told(told):
    convhub.conv2d_backward(np.ones((1, 3, 4, 2)), X, W, output_mask=(True, False, True), backend="told")
    assert told == []


def test_of_the_backward_pass_during_the_forward_pass(told):
    torch = pytest.importorskip("torch")
    x, w = torch.ones(1, 2, 5, 4, dtype=torch.float64), torch.ones(3, 2, 2, 3, dtype=torch.float64)
    convhub.conv2d(x, w, backend="told")
    assert told == []
    convhub.conv2d(x, w.requires_grad_(), backend="told")
    assert primitives(told) == ["grad_weight"]
    assert told[0][0].replace(primitive="forward").input_shape == (1, 2, 5, 4)
    with torch.no_grad():
        convhub.conv2d(x[..., 1:], w, backend="told")
    assert len(told) == 1
    told.clear()
    convhub.conv_transpose2d(torch.ones(1, 3, 4, 2, dtype=torch.float64).requires_grad_(), w, backend="told")
    assert primitives(told) == ["forward", "grad_weight"]


def test_a_failure_is_logged_and_stops_no_call(told, caplog):
    backend = plugins.registry().backends["told"].backend
    object.__setattr__(backend, "expect", lambda problem, options: 1 / 0)
    grads = convhub.conv2d_backward(np.ones((1, 3, 4, 2)), X, W, backend="told")
    assert (grads.weight == 8).all()
    assert "expect of plugin 'told'" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_what_was_told_is_remembered_within_a_limit(told, monkeypatch):
    monkeypatch.setattr(expect, "MOST_TOLD", 2)
    for width in range(4, 9):
        x = np.ones((1, 2, 5, width))
        convhub.conv2d_backward(np.ones((1, 3, 4, width - 2)), x, W, backend="told")
    assert len(told) == 5
    assert len(expect._told) <= 2
