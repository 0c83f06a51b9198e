"""The headless browser of the tests: it must see what it is there to see."""

from __future__ import annotations

import pytest
from support import browser

PAGE = """<!doctype html>
<title>A page</title>
<link rel="stylesheet" href="http://styles.invalid/a.css">
<script src="https://scripts.invalid/a.js"></script>
<script>
fetch("data.json").then(answer => answer.json()).then(data => { document.title = data.title; });
</script>
<script>new WebSocket("ws://sockets.invalid/a");</script>
<script>console.error("said in the console");</script>
<script>undefinedFunction();</script>
<img src="missing.png">
<p id="wide"></p>
"""


def test_what_a_page_asks_for_and_what_goes_wrong(tmp_path):
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "data.json").write_text('{"title": "read from the folder"}')
    with browser.visit(tmp_path) as visit:
        visit.go("index.html")
        assert visit.page.title() == "read from the folder"
        visit.screenshot(tmp_path / "page.png")
    assert sorted(visit.foreign) == [
        "http://styles.invalid/a.css",
        "https://scripts.invalid/a.js",
        "ws://sockets.invalid/a",
    ]
    for word in ("said in the console", "undefinedFunction is not defined", "missing.png"):
        assert any(word in error for error in visit.errors), word
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


def test_a_quiet_page_at_two_sizes(tmp_path):
    (tmp_path / "index.html").write_text("<!doctype html><title>Quiet</title>")
    with browser.visit(tmp_path, browser.PHONE) as visit:
        visit.go("index.html")
        assert visit.page.evaluate("[innerWidth, innerHeight]") == list(browser.PHONE)
        visit.resize(browser.DESKTOP)
        assert visit.page.evaluate("[innerWidth, innerHeight]") == list(browser.DESKTOP)
    assert (visit.foreign, visit.errors) == ([], [])


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_without_a_browser(tmp_path, monkeypatch, ci, outcome):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="none of chromium, chromium-browser"), browser.visit(tmp_path):
        pass
