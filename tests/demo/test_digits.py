"""The network's gradients against differences, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console

import convhub
from convhub.demo import digits, digits_table, network

QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def _on_numpy():
    with convhub.use_backend("numpy"):
        yield


def test_every_gradient_is_the_slope_of_the_loss():
    generator = np.random.default_rng(0)
    parameters = network.initial_parameters(generator, "float64")
    for value in parameters.values():
        value += 0.05 * generator.standard_normal(value.shape)
    noisy, clean = generator.random((2, 3, 1, 8, 8))
    truth = np.array([4, 0, 9])
    _, gradients = network.losses_and_gradients(parameters, noisy, clean, truth)
    assert gradients.keys() == parameters.keys()
    for name, value in parameters.items():
        direction = generator.standard_normal(value.shape)
        ahead, behind = (
            network.losses_and_gradients(parameters | {name: value + step * direction}, noisy, clean, truth)[
                0
            ]
            for step in (1e-6, -1e-6)
        )
        slope = (ahead.total - behind.total) / 2e-6
        assert (gradients[name] * direction).sum() == pytest.approx(slope, rel=1e-5, abs=1e-8), name


def test_adam_takes_its_first_step_by_the_rate_against_the_gradient():
    parameters = {"weight": np.array([1.0, 2.0, 3.0])}
    optimizer = network.Adam(parameters, rate=0.1)
    optimizer.step(parameters, {"weight": np.array([5.0, -0.01, 0.0])})
    np.testing.assert_allclose(parameters["weight"], [0.9, 2.1, 3.0], atol=1e-6)


def test_the_split_is_fixed_and_held_out():
    data, again = digits.load(), digits.load()
    assert (len(data.digits), len(data.test_digits)) == (1437, 360)
    np.testing.assert_array_equal(data.test_pictures, again.test_pictures)
    assert np.bincount(data.test_digits).min() >= 34  # each digit has its share
    assert (data.pictures.min(), data.pictures.max(), data.pictures.dtype) == (0, 1, np.float32)


def test_pictures_are_moved_by_a_pixel_at_most():
    picture = np.zeros((200, 1, 8, 8), np.float32)
    picture[:, 0, 3, 4] = 1
    moved = digits._moved(picture, np.random.default_rng(0))
    places = {(int(row), int(column)) for _, _, row, column in np.argwhere(moved)}
    assert places == {(row, column) for row in (2, 3, 4) for column in (3, 4, 5)}


def test_one_epoch_learns_and_is_repeatable():
    report, again = (digits.run(QUIET, epochs=2, batch=64) for _ in range(2))
    assert report.epochs == again.epochs
    first, second = report.epochs
    assert second.digit_loss < first.digit_loss
    assert second.picture_loss < first.picture_loss
    assert second.accuracy > 0.6  # chance is 0.1
    assert report.parts.keys() == network.OPTIONS.keys()
    assert {part.backend for parts in report.parts.values() for part in parts} == {"numpy"}
    assert [part.problem.primitive for part in report.parts["painter"]] == [
        "grad_input",
        "forward",
        "grad_weight",
    ]
    console = Console(width=100)
    with console.capture() as captured:
        digits_table.show(report, console)
    text = captured.get()
    assert f"{100 * second.accuracy:.1f} %" in text
    assert "numpy" in text
    assert "by context" in text


@pytest.mark.parametrize(("accuracy", "fails"), [(0.969, True), (0.97, False), (0.99, False)])
def test_too_low_an_accuracy_is_a_failure(accuracy, fails):
    epoch = digits.Epoch(0.1, 0.01, accuracy)
    report = digits.Report(None, [epoch], 1.0, None, None, 0.9)
    assert bool(report.failures) is fails
    assert not fails or "96.9 %; it must be 97 %" in report.failures[0]
