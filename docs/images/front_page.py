"""Draws front_page.jpg: a photograph, its edges by direction, and what 3 % of its coefficients rebuild.

``python docs/images/front_page.py`` rewrites the file; it needs convhub[demo].
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from convhub.demo.photo import jobs_of, photograph, strongest
from convhub.demo.photo_figure import by_orientation

SHARE = 0.03
#: Pixels of each picture, of the gap between two, and where the photograph is cut.
HEIGHT, WIDTH, GAP = 320, 470, 6
TOP, LEFT = 16, 60


def main() -> None:
    """Write the picture beside this file."""
    picture = photograph()
    jobs = jobs_of(picture, "numba")
    edges = by_orientation(jobs["edges"].run("numba")[0])
    coefficients = strongest(jobs["rebuild"].image, SHARE)
    rebuilt = jobs["rebuild"]._replace(image=coefficients).run("numba")
    sheet = Image.new("RGB", (3 * WIDTH + 2 * GAP, HEIGHT), "white")
    for number, shown in enumerate((picture[0], edges.repeat(2, 1).repeat(2, 2), rebuilt[0])):
        cut = shown[:, TOP : TOP + HEIGHT, LEFT : LEFT + WIDTH].clip(0, 1)
        pixels = np.rint(255 * cut.transpose(1, 2, 0)).astype(np.uint8)
        sheet.paste(Image.fromarray(pixels), (number * (WIDTH + GAP), 0))
    sheet.save(Path(__file__).with_suffix(".jpg"), quality=84, optimize=True)


if __name__ == "__main__":
    main()
