"""The random layers: what is drawn, and that errors are seen where there are errors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from rich.console import Console

import convhub
from convhub.demo import bound, layers, layers_table
from convhub.reference.bounds import NORMWISE_FACTOR

QUIET = Console(quiet=True)


@pytest.fixture
def only_numpy(monkeypatch):
    monkeypatch.setattr("convhub.dispatch.candidates.available_backends", lambda device=None: ["numpy"])


@pytest.mark.parametrize("operation", ["conv2d", "conv_transpose2d"])
def test_layers_have_everything_that_the_notebook_left_out(operation):
    generator = np.random.default_rng(3)
    drawn = [layers.random_layer(operation, generator) for _ in range(60)]
    assert {layer.options["groups"] for layer in drawn} == {1, 2, 3}
    for option, values in (("stride", {1, 2, 3}), ("padding", {0, 1, 2}), ("dilation", {1, 2})):
        assert {value for layer in drawn for value in layer.options[option]} == values
    assert any(layer.input_shape[2] != layer.input_shape[3] for layer in drawn)
    assert any(layer.weight_shape[2] != layer.weight_shape[3] for layer in drawn)
    assert all(max(layer.input_shape) <= 10 and max(layer.weight_shape) <= 10 for layer in drawn)
    if operation == "conv_transpose2d":
        assert any(any(layer.options["output_padding"]) for layer in drawn)


def test_torch_agrees_with_the_references(only_numpy):
    pytest.importorskip("torch", reason="torch is what is compared with")
    report = layers.run(QUIET, layers=2)
    assert set(report.fractions) == {"numpy", "torch itself"}
    assert not report.failures
    values = [v for by in report.fractions["torch itself"].values() for q in by.values() for v in [q]]
    assert len(values) == 2 * len(layers.QUANTITIES)
    assert 0 < max(values) < 1  # float32 rounds
    assert all(low <= high < 1e-6 for by in report.mse["numpy"].values() for low, high in by.values())
    # Zeros for a gradient, and a count for a sum, are wrong by everything that they are.
    assert all(value > 1000 for value in report.notebook.values())


def test_a_wrong_gradient_is_a_failure(only_numpy, monkeypatch):
    right = convhub.conv_transpose2d_backward

    def as_the_notebook(grad_output, *arguments, **options):
        gradients = right(grad_output, *arguments, **options)
        return gradients._replace(input=np.zeros_like(gradients.input))

    monkeypatch.setattr("convhub.api.conv_transpose2d_backward", as_the_notebook)
    monkeypatch.setattr("convhub.demo.layers.explain", _explain_right(right, as_the_notebook))
    report = layers.run(QUIET, layers=1)
    (failure,) = report.failures
    assert failure.startswith("numpy: grad input of conv_transpose2d is ")


def _explain_right(right, wrong):
    return lambda what, *args, **kwargs: convhub.explain(right if what is wrong else what, *args, **kwargs)


def test_a_backend_that_declines_is_told_apart(only_numpy, monkeypatch):
    def declines(layer, arrays, backend):
        raise convhub.UnsupportedProblemError("takes groups = 1 only")

    monkeypatch.setattr(layers, "_results", declines)
    report = layers.run(QUIET, layers=1)
    assert report.declined == {"numpy": ["takes groups = 1 only"] * 2}
    console = Console(record=True, file=None, quiet=False, width=100)
    with console.capture() as captured:
        layers_table.show(report, console)
    assert "numpy declined 2 layers" in captured.get()


def test_without_torch_its_column_is_absent_and_the_way_to_it_is_told(only_numpy, monkeypatch):
    monkeypatch.setattr("convhub.demo.torch_direct.is_installed", lambda: False)
    report = layers.run(QUIET, layers=1)
    assert (list(report.fractions), report.mse) == (["numpy"], {})
    console = Console(width=100)
    with console.capture() as captured:
        layers_table.show(report, console)
    assert "pip install 'convhub[torch]'" in captured.get()


def test_the_table_shows_every_number():
    ones = {o: dict.fromkeys(layers.QUANTITIES, 0.25) for o in layers.OPERATIONS}
    wrong = {o: dict.fromkeys(layers.QUANTITIES, 1234.5) for o in layers.OPERATIONS}
    squares = {o: dict.fromkeys(layers.QUANTITIES, (0.0, 3e-15)) for o in layers.OPERATIONS}
    report = layers.Report([], {"torch itself": ones, "mine": wrong}, {"mine": squares}, {"grad input": 8e5})
    console = Console(width=80)
    with console.capture() as captured:
        layers_table.show(report, console)
    text = captured.get()
    assert (text.count("0.250"), text.count("1,234"), text.count("3e-15"), text.count("800,000")) == (
        8,
        8,
        8,
        1,
    )
    assert text.index("mine") < text.index("torch itself")  # what is compared with stands last
    assert len(report.failures) == 8


def test_fractions_are_those_of_the_bound_by_hand():
    problem = convhub.Problem.parse("forward_n1c1h1w2_k1r1s2")
    image, weight = np.array([[[[1.0, 2.0]]]], np.float32), np.array([[[[3.0, -1.0]]]], np.float32)
    right = bound.reference(problem, image, weight)
    eps = float(np.finfo(np.float32).eps)
    off = np.full((1, 1, 1, 1), 1 + 4 * eps, np.float32)
    # 3 · 1 − 1 · 2 = 1, of magnitude 5, and two terms.
    assert bound.fraction_of_bound(off, right) == pytest.approx(4 / ((8 + 2**0.5) * 5))
    assert bound.fraction_of_bound(off, right, growth=bound.greatest_growth) == pytest.approx(4 / 5)
    assert bound.fraction_of_bound(off * np.float32(np.nan), right) == np.inf


def test_a_backend_of_the_normwise_class_is_held_to_the_largest_magnitude(toy, monkeypatch):
    from convhub.dispatch.dispatcher import current_dispatcher

    right = bound.channel_sum(np.array([[[[8.0]], [[1.0]]]]))
    off = np.array([8.0, 1.0 + 2.0**-50])
    backends = current_dispatcher().registry.backends
    registered = backends["toy"]
    declared = dataclasses.replace(registered.backend.capabilities, accuracy="normwise")
    normwise = dataclasses.replace(registered.backend, capabilities=declared)
    componentwise = bound.fraction_of_bound(off, right, "toy")
    monkeypatch.setitem(backends, "toy", registered._replace(backend=normwise))
    assert bound.fraction_of_bound(off, right, "toy") == pytest.approx(componentwise / 8 / NORMWISE_FACTOR)
