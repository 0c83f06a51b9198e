"""The filters against mathematics, and the photograph on a small piece."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console

import convhub
from convhub.demo import photo, photo_table
from convhub.demo.filters import cosine_frame, gabor_bank

QUIET = Console(quiet=True)


@pytest.fixture
def only_numpy(monkeypatch):
    monkeypatch.setattr("convhub.dispatch.candidates.available_backends", lambda device=None: ["numpy"])


@pytest.fixture
def piece():
    pytest.importorskip("PIL", reason="scikit-learn reads its photographs by pillow")
    return np.ascontiguousarray(photo.photograph()[..., 200:232, 200:248])


def test_each_filter_is_a_cosine_transform():
    from scipy.fft import dctn

    patch = np.random.default_rng(0).standard_normal((3, 8, 8))
    expected = dctn(patch, norm="ortho") / 2
    found = np.tensordot(cosine_frame().astype(np.float64), patch, 3).reshape(3, 8, 8)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_frame_rebuilds_any_picture_and_keeps_its_energy():
    generator = np.random.default_rng(1)
    picture, frame = generator.standard_normal((2, 3, 20, 28)), cosine_frame().astype(np.float64)
    options = {"stride": 4, "padding": 4, "backend": "numpy"}
    coefficients = convhub.conv2d(picture, frame, **options)
    rebuilt = convhub.conv_transpose2d(coefficients, frame, **options)
    np.testing.assert_allclose(rebuilt, picture, atol=1e-6)  # the filters are rounded to float32
    assert (coefficients**2).sum() == pytest.approx((picture**2).sum(), rel=1e-6)


def test_gabor_filters_answer_to_their_own_direction():
    bank = gabor_bank()
    assert bank.shape == (16, 1, 13, 13)
    np.testing.assert_allclose(bank.sum((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose((bank**2).sum((1, 2, 3)), 1, rtol=1e-5)
    rows, columns = np.mgrid[:13, :13] - 6
    for k in range(8):
        angle = k * np.pi / 8
        wave = np.cos(2 * np.pi * (columns * np.cos(angle) + rows * np.sin(angle)) / 5 + 0.7)
        answers = np.tensordot(bank[:, 0], wave, 2)
        assert np.argmax(answers[:8] ** 2 + answers[8:] ** 2) == k


def test_the_strongest_coefficients_are_kept():
    kept = photo.strongest(np.array([0.5, -3.0, 2.0, 0.1, -0.2]), 0.4)
    np.testing.assert_array_equal(kept, [0, -3, 2, 0, 0])


def test_psnr():
    assert photo.psnr(np.array([0.1, -0.1]), np.zeros(2)) == pytest.approx(20)
    assert photo.psnr(np.zeros(2), np.zeros(2)) == np.inf


def test_a_small_piece_on_every_backend_and_torch(piece, only_numpy):
    torch = pytest.importorskip("torch", reason="torch is what is compared with")
    report = photo.run(QUIET, picture=piece, rounds=1)
    assert report.failures == []
    assert report.drawn_by == "numpy"
    assert report.sizes == {"numpy": (32, 48), "torch itself": (32, 48)}
    assert report.pixels_changed == {"numpy": 0, "torch itself": 0}
    assert report.psnr["rebuilt"] > 110 > 40 > report.psnr["few"] > 15
    assert all(t > 0 for times in report.milliseconds.values() for t in times.values())
    assert report.gigamacs["take apart"] == pytest.approx(9 * 13 * 192 * 192 / 1e9)
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(piece).double(), torch.from_numpy(cosine_frame()).double(), stride=4, padding=4
    )[0]
    np.testing.assert_allclose(report.coefficients, expected.numpy(), atol=1e-5)
    with (console := Console(width=80)).capture() as captured:
        photo_table.show(report, console)
    assert "torch itself" in captured.get()


def test_a_slow_backend_gets_a_piece_of_the_picture(piece, toy, monkeypatch):
    monkeypatch.setattr(
        "convhub.dispatch.candidates.available_backends", lambda device=None: ["numpy", "toy"]
    )
    monkeypatch.setattr(photo, "_forecast", lambda backend, picture: {"numpy": 1.0, "toy": 99.0}[backend])
    monkeypatch.setattr(photo, "is_installed", lambda: False)
    report = photo.run(QUIET, picture=piece, rounds=1, small=(16, 24))
    assert report.sizes == {"numpy": (32, 48), "toy": (16, 24)}
    assert report.failures == []
    monkeypatch.setattr("convhub.demo.torch_direct.is_installed", lambda: False)
    with (console := Console(width=80)).capture() as captured:
        photo_table.show(report, console)
    assert "piece from its middle: toy" in " ".join(captured.get().split())
    assert "pip install 'convhub[torch]'" in " ".join(captured.get().split())


def test_a_backend_that_is_wrong_is_a_failure(piece, only_numpy, monkeypatch):
    right = photo.Job.run

    def slightly_off(job, backend):
        return right(job, backend) * np.float32(1.01)

    monkeypatch.setattr(photo.Job, "run", slightly_off)
    report = photo.run(QUIET, picture=piece, rounds=1)
    assert any("of the photograph is" in line for line in report.failures)
    assert any("differs in" in line for line in report.failures)


def test_where_every_backend_is_too_slow_it_is_told(piece, only_numpy, monkeypatch):
    monkeypatch.setattr(photo, "_forecast", lambda backend, picture: 1e9)
    with pytest.raises(convhub.UnsupportedProblemError, match=r"\['numpy'\] are too slow"):
        photo.run(QUIET, picture=piece)
