"""The site in a browser: every page, as wide as a phone and as a desktop, in light and dark."""

from __future__ import annotations

import pytest
from support.browser import visit

pytestmark = pytest.mark.timeout(900)  # the first test that wants the site waits until it is built

SIZES = {"phone": (390, 844), "desktop": (1440, 900)}

#: Folders of pages that show code, which are all alike: of these one is looked at.
SOURCES = ("_modules/", "source/")

#: What sticks out of the window, though it stands in no box that scrolls; and the page itself, if it scrolls.
TOO_WIDE = """() => {
    const width = document.documentElement.clientWidth;
    const scrolls = e => ["auto", "scroll"].includes(getComputedStyle(e).overflowX);
    const isReached = e => e.tagName !== "ARTICLE" && (scrolls(e) || isReached(e.parentElement));
    const out = [...document.querySelectorAll("article *")]
        .filter(e => e.getBoundingClientRect().right > width + 1 && !isReached(e.parentElement))
        .map(e => `${e.tagName} ${e.className}`);
    return document.scrollingElement.scrollWidth > width ? ["the page", ...out] : out;
}"""
#: Pictures that are not there, lazy ones included.
MISSING = """async () => {
    const images = [...document.images];
    images.forEach(image => { image.loading = "eager"; });
    await Promise.all(images.map(image => image.decode().catch(() => 0)));
    return images.filter(image => image.naturalWidth === 0).map(image => image.src);
}"""


@pytest.fixture(scope="module")
def visited(site):
    """Start one browser for all tests."""
    with visit(site) as visited:
        yield visited


def test_the_front_page(visited):
    backgrounds = []
    for scheme in ("light", "dark"):
        visited.page.emulate_media(color_scheme=scheme)
        visited.go("index.html")  # which waits for what a script may ask for late
        backgrounds.append(visited.page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert visited.page.locator("h1").count() == 1
    assert len(set(backgrounds)) == 2
    assert visited.errors == []
    assert visited.foreign == []


def test_every_page(visited, site):
    found = [path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html"))]
    paths = [path for path in found if not path.startswith(SOURCES)] + ["source/convhub/backend.py.html"]
    assert {"tutorials/from-scratch.html", "reference/functions.html", "benchmarks.html"} <= set(paths)
    wrong = []
    for path in paths:
        visited.page.goto(visited.address + path)
        for name, size in SIZES.items():
            visited.resize(size)
            wrong += [f"{path}, {name}: {what} is too wide" for what in visited.page.evaluate(TOO_WIDE)]
        wrong += [f"{path}: {picture} is missing" for picture in visited.page.evaluate(MISSING)]
    assert wrong == []
    assert visited.errors == []
    assert visited.foreign == []


def test_search_finds_a_function(visited):
    visited.resize(SIZES["desktop"])
    visited.go("search.html?q=conv_transpose2d_backward")
    first = visited.page.locator("#search-results li a").first
    first.wait_for()
    assert "functions" in first.get_attribute("href")
    assert visited.errors == visited.foreign == []


def test_what_is_wrong_with_a_page_is_found(visited):
    visited.resize(SIZES["phone"])
    visited.go("index.html")
    visited.page.evaluate("document.querySelector('h1').style.width = '2000px'")
    picture = '<img src=\\"none.png\\">'
    visited.page.evaluate(f"document.querySelector('h1').insertAdjacentHTML('afterend', '{picture}')")
    assert "H1 " in visited.page.evaluate(TOO_WIDE)
    assert [src.rpartition("/")[2] for src in visited.page.evaluate(MISSING)] == ["none.png"]
    assert len(visited.errors) == 1  # of the picture
    visited.errors.clear()
