"""The whole, on tiny settings: files, figures, failures and missing packages."""

from __future__ import annotations

import functools
import importlib.util
import json

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import convhub.demo
from convhub.demo import digits, digits_figure, layers, needs, photo, photo_figure


@pytest.fixture
def tiny(monkeypatch):
    """Make every part small, and run on one backend."""
    picture = np.ascontiguousarray(photo.photograph()[..., 160:224, 200:296])
    for module, settings in (
        (layers, {"layers": 1}),
        (photo, {"picture": picture, "rounds": 1}),
        (digits, {"epochs": 1, "batch": 128}),
    ):
        monkeypatch.setattr(module, "run", functools.partial(module.run, **settings))
    monkeypatch.setattr("convhub.dispatch.candidates.available_backends", lambda device=None: ["numpy"])
    data = digits.load()
    few = digits.Data(
        data.pictures[:300], data.digits[:300], data.test_pictures[:100], data.test_digits[:100]
    )
    monkeypatch.setattr(digits, "load", lambda: few)
    with convhub.use_backend("numpy"):
        yield picture


def test_everything_is_written_and_named(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(digits, "LEAST_ACCURACY", 0.0)
    settings, backend = dict(mpl.rcParams), mpl.get_backend()
    folder = tmp_path / "new" / "folder"
    console = Console(width=100)
    with console.capture() as captured:
        convhub.demo.run(folder, console)
    assert (dict(mpl.rcParams), mpl.get_backend()) == (settings, backend)
    text = captured.get()
    assert str(folder) in text.replace("\n", "")
    for file in folder.iterdir():
        assert f"  {file.name}" in text
    assert {file.name for file in folder.iterdir()} == {"photo.png", "digits.png", "summary.json"}

    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["failures"] == []
    assert len(summary["layers"]["layers"]) == 2
    assert summary["layers"]["fractions"]["numpy"]["conv2d"]["grad weight"] < 1
    assert summary["photo"]["psnr"]["rebuilt"] > 110
    assert summary["digits"]["epochs"][0]["accuracy"] > 0.1
    assert {entry["backend"] for entry in summary["digits"]["backends"].values()} == {"numpy"}

    with Image.open(folder / "digits.png") as image:
        assert image.size == (1800, 1005)
        assert len(image.convert("L").getcolors()) > 100
    # The photograph itself is in the figure, at the upper left: shrink that part, and compare.
    with Image.open(folder / "photo.png") as image:
        assert image.width == 1800
        left, top = (
            round(150 * inches) for inches in (photo_figure.MARGIN, photo_figure.TITLE + photo_figure.ABOVE)
        )
        width = round(150 * photo_figure._width(2))
        part = image.convert("RGB").crop((left, top, left + width, top + round(width * 64 / 96)))
    shown = np.asarray(part.resize((96, 64), Image.Resampling.BOX), float).transpose(2, 0, 1)
    assert np.corrcoef(shown.ravel(), tiny.ravel())[0, 1] > 0.97


def test_what_came_out_wrong_is_told_at_the_end_and_everything_is_written(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(digits, "LEAST_ACCURACY", 1.01)
    for figure in (digits_figure, photo_figure):
        monkeypatch.setattr(figure, "draw", lambda report, path: path.write_bytes(b""))
    with pytest.raises(convhub.demo.DemoFailedError, match=r"digits: the test accuracy is .* must be 101 %"):
        convhub.demo.run(tmp_path, Console(quiet=True))
    assert {file.name for file in tmp_path.iterdir()} == {"photo.png", "digits.png", "summary.json"}
    assert len(json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["failures"]) == 1


def test_edges_have_the_hue_of_their_direction():
    from matplotlib.colors import rgb_to_hsv

    answers = np.zeros((16, 1, 8))
    answers[range(8), 0, range(8)] = 1.0  # at pixel k, only direction k
    hues = rgb_to_hsv(photo_figure.by_orientation(answers).transpose(1, 2, 0))[0, :, 0]
    np.testing.assert_allclose(hues, np.arange(8) / 8, atol=1e-9)


def test_missing_packages_are_named_before_anything_is_done(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        needs.importlib.util, "find_spec", lambda name: None if name in ("PIL", "sklearn") else found(name)
    )
    with pytest.raises(ModuleNotFoundError) as caught:
        convhub.demo.run(tmp_path / "out", Console(quiet=True))
    assert str(caught.value) == "the demo needs pillow, scikit-learn; pip install 'convhub[demo]' brings it"
    assert caught.value.name == "PIL"
    assert not (tmp_path / "out").exists()
