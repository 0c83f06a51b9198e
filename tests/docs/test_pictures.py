"""The picture of the design is what its script draws, and can be read: in light, in dark, and on a phone."""

from __future__ import annotations

import re
import runpy
import xml.etree.ElementTree as ElementTree
from pathlib import Path

IMAGES = Path(__file__).parents[2] / "docs" / "images"
#: Pixels that a phone has for the picture, and the least that a letter must have.
PHONE, LEAST = 358, 9


def test_the_picture_of_the_design():
    drawn = runpy.run_path(str(IMAGES / "design.py"))["draw"]()
    assert drawn == (IMAGES / "design.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(drawn)
    width = float(root.get("viewBox").split()[2])
    sizes = [int(size) for size in re.findall(r"font-size: (\d+)px", drawn)]
    assert min(sizes) * PHONE / width >= LEAST
    assert "prefers-color-scheme: dark" in drawn
    words = " ".join(root.itertext())
    files = re.findall(r"[\w/]+\.py", words)
    assert len(files) >= 6
    folders = [IMAGES.parents[1] / "convhub" / name for name in ("", "dispatch")]
    assert all(any((folder / file).is_file() for folder in folders) for file in files), files
