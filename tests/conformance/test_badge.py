"""Badges: what they say of a report, and the files."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from convhub.conformance.report.badge import COLORS, Badge, badge_of, write_badge
from convhub.conformance.report.findings import build_report
from convhub.conformance.report.rows import Done, Row


def report(*outcomes, errors=()):
    rows = [Row("", "", "", f"check {i}", outcome, None, "", "") for i, outcome in enumerate(outcomes)]
    return build_report([Done("naive", "naive", "quick", 7, False, rows)], errors, 1.0)


@pytest.mark.parametrize(
    ("outcomes", "errors", "color", "message"),
    [
        (["passed"] * 1234 + ["skipped"], (), "brightgreen", "naive: quick: 1,234 passed"),
        (["passed", "xfailed"], (), "yellow", "naive: quick: 1 passed, 1 known failures"),
        (["passed", "failed", "xpassed"], (), "red", "naive: quick: 2 of 3 checks failed"),
        (["passed"], ["a process died"], "red", "naive: quick: 1 of 2 checks failed"),
        (["skipped", "declined"], (), "red", "naive: quick: nothing checked"),
    ],
)
def test_what_a_badge_says(outcomes, errors, color, message):
    found = badge_of(report(*outcomes, errors=errors), "naive")
    assert (found.color, found.message) == (color, message)


def test_a_backend_that_is_not_in_the_report_has_no_good_badge():
    found = badge_of(report("passed"), "other")
    assert (found.color, found.message) == ("red", "other: nothing checked")


def test_a_badge_has_level_versions_date_and_counts():
    made = report("passed")
    found = badge_of(made, "naive")
    assert found.message == "naive: quick: 1 passed"
    assert found.details == f"convhub {made.convhub}, {made.date[:10]}, seed 7".replace(
        "convhub", f"convhub {made.tested[0].version}, convhub", 1
    )


def test_the_files_are_what_browsers_and_services_read(tmp_path):
    badge = Badge('mi<ne: "quick": 3 passed', "mine 1 & more", "brightgreen")
    write_badge(badge, tmp_path / "badge.svg")
    root = ElementTree.parse(tmp_path / "badge.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    assert [text.text for text in root.iter(f"{space}text")] == ["convhub conformance", badge.message]
    assert root.find(f"{space}title").text == f"convhub conformance: {badge.message}; mine 1 & more"
    assert root.find(f"{space}path").attrib["fill"] == COLORS["brightgreen"]
    last = root.findall(f".//{space}text")[-1].attrib
    assert float(last["x"]) + float(last["textLength"]) < float(root.attrib["width"])
    written = json.loads((tmp_path / "badge.json").read_text())
    assert written == {
        "schemaVersion": 1,
        "label": "convhub conformance",
        "message": 'mi<ne: "quick": 3 passed (mine 1 & more)',
        "color": "brightgreen",
    }


@pytest.mark.parametrize("color", COLORS)
def test_white_text_is_legible_on_each_color(color):
    """The contrast that WCAG 2 asks for is 4.5."""

    def linear(part):
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(COLORS[color][i : i + 2], 16) / 255) for i in (1, 3, 5))
    assert 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05) > 4.5
