"""Makes a badge of a report: a small SVG, and the JSON from which services such as shields.io make one.

https://shields.io/badges/endpoint-badge describes the JSON, which may have no other keys.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from .findings import Report, Tested
from .rows import OUTCOMES

__all__ = ["Badge", "badge_of", "write_badge"]

LABEL = "convhub conformance"

#: Colors of the right half, by their names at shields.io: of shades on which white text is legible.
COLORS = {"brightgreen": "#2c7a1e", "yellow": "#8a6500", "red": "#b3261e"}


class Badge(NamedTuple):
    """What a badge says.

    Attributes
    ----------
    message : str
        The verdict, for the right half.
    details : str
        Versions, date and counts, which an image shows under the pointer.
    color : str
        A key of `COLORS`.
    """

    message: str
    details: str
    color: str


def badge_of(report: Report, backend: str) -> Badge:
    """Return the badge of one backend of a report, on all devices and under all options tried."""
    tested = [one for one in report.tested if one.backend == backend]
    counts = {outcome: sum(one.counts[outcome] for one in tested) for outcome in OUTCOMES}
    wrong = counts["failed"] + counts["xpassed"] + len(report.errors)
    levels = "+".join(dict.fromkeys(one.level for one in tested))
    date = report.date.partition("T")[0]
    if not any(one.checked for one in tested):
        color, verdict = "red", "nothing checked"
    elif wrong:
        color, verdict = "red", f"{wrong:,} of {wrong + counts['passed']:,} checks failed"
    elif counts["xfailed"]:
        color, verdict = "yellow", f"{counts['passed']:,} passed, {counts['xfailed']:,} known failures"
    else:
        color, verdict = "brightgreen", f"{counts['passed']:,} passed"
    parts = [backend, levels, verdict]
    details = [_versions(tested), f"convhub {report.convhub}", date, f"seed {_seeds(tested)}"]
    return Badge(": ".join(filter(None, parts)), ", ".join(filter(None, details)), color)


def _versions(tested: list[Tested]) -> str:
    return ", ".join(dict.fromkeys(f"{one.distribution} {one.version}".rstrip() for one in tested))


def _seeds(tested: list[Tested]) -> str:
    return "+".join(dict.fromkeys(str(one.seed) for one in tested)) or "none"


def write_badge(badge: Badge, path: Path) -> None:
    """Write an SVG, and the JSON beside it.

    Parameters
    ----------
    path : Path
        The file of the SVG; the JSON's has the suffix ``.json``.
    """
    path.write_text(_svg(badge), encoding="utf-8")
    text = {
        "schemaVersion": 1,
        "label": LABEL,
        "message": f"{badge.message} ({badge.details})",
        "color": badge.color,
    }
    path.with_suffix(".json").write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")


#: Pixels of a character, on average, in a sans-serif font of 11 pixels, and of the space at each end.
CHARACTER, SPACE, HEIGHT = 6.4, 8, 20


def _svg(badge: Badge) -> str:
    # Text is fitted to its width, whatever font the viewer has.
    left, right = (round(len(text) * CHARACTER) for text in (LABEL, badge.message))
    middle, width = left + 2 * SPACE, left + right + 4 * SPACE
    title = f"{LABEL}: {badge.message}"

    def text(x: int, length: int, words: str) -> str:
        return f'  <text x="{x}" y="14" textLength="{length}">{escape(words)}</text>\n'

    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" role="img" '
        f"aria-label={quoteattr(title)}>\n"
        f" <title>{escape(title)}; {escape(badge.details)}</title>\n"
        f' <rect width="{width}" height="{HEIGHT}" rx="3" fill="#444"/>\n'
        f' <path d="M{middle} 0h{right + 2 * SPACE - 3}a3 3 0 0 1 3 3v{HEIGHT - 6}a3 3 0 0 1-3 3H{middle}z" '
        f'fill="{COLORS[badge.color]}"/>\n'
        ' <g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">\n'
        f"{text(SPACE, left, LABEL)}{text(middle + SPACE, right, badge.message)}"
        " </g>\n</svg>\n"
    )
