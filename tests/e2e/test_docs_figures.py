"""The ratios that README and docs print are those of the tables that `convhub bench --markdown` wrote."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from convhub.bench.classes import CLASSES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PRIMITIVES = ("forward", "grad_input", "grad_weight")
NONE = "–"

SUMMARY = r"Mean of classes ([\d.]+)x; (\d+) % of \d+ layers at 1x or better.*\n\nWorst: ([\d.]+)x"


def measured(name):
    """Return the columns of a measured table under memory keep: row to ratio, for each primitive."""
    columns = []
    page = (DOCS / "benchmarks" / name).read_text(encoding="utf-8")
    sections = re.split(r"^### ", page, flags=re.MULTILINE)[1:]
    for primitive in PRIMITIVES:
        (section,) = (one for one in sections if re.match(rf"{primitive}\b.*memory keep", one))
        table = dict(re.findall(r"^\| ([^|]+) \| \d+ \| ([\d.]+)x \|", section, re.MULTILINE))
        mean, share, worst = re.search(SUMMARY, section).groups()
        column = {row: table.get(row, NONE) for row in CLASSES}
        columns.append(
            {**column, "mean of classes": mean, "at 1x or better": f"{share} %", "worst layer": worst}
        )
    return columns


def printed(page):
    """Return the columns of the page's table of classes, by its rows."""
    text = page.read_text(encoding="utf-8").replace("**", "")
    (table,) = re.findall(r"^\| Class \| .*forward.*\n\|[-: |]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()]
    width = max(map(len, rows))
    return [{row[0]: row[n] for row in rows if len(row) == width} for n in range(1, width)]


@pytest.mark.parametrize(
    ("page", "files"),
    [(ROOT / "README.md", ["torch.md"]), (DOCS / "benchmarks.md", ["torch.md", "float64.md"])],
    ids=["README", "benchmarks"],
)
def test_ratios_are_those_that_were_measured(page, files):
    expected = [column for name in files for column in measured(name)]
    found = printed(page)
    assert len(found) == len(expected)
    for column, right in zip(found, expected, strict=True):
        shown = {row: value for row, value in column.items() if row in right}
        assert set(CLASSES) <= set(shown)
        assert shown == {row: right[row] for row in shown}
