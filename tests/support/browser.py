"""Runs a headless browser for tests of pages: one folder, served only on this machine.

Requests of a page to other machines are refused and recorded, and so is each error of the page; the test
decides about them.
"""

from __future__ import annotations

import functools
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

#: (width, height) in CSS pixels.
DESKTOP = (1280, 800)
PHONE = (390, 844)


@dataclass(frozen=True)
class Visit:
    """One tab of a browser, on the pages of one folder.

    Parameters
    ----------
    page : Page
        playwright's own page, for anything that is missing here.
    address : str
        The folder's address, with a slash at its end.
    foreign : list of str
        Each address elsewhere that a page requested; all were refused.
    errors : list of str
        Errors that pages wrote to the console, uncaught exceptions and missing files.
    """

    page: Page
    address: str
    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open a page of the folder, such as ``"index.html"``, and wait until its requests are done."""
        self.page.goto("about:blank")  # an address that differs only after its # would not be loaded
        self.page.goto(self.address + path, wait_until="networkidle")

    def resize(self, size: tuple[int, int]) -> None:
        """Set the window's width and height in CSS pixels."""
        self.page.set_viewport_size({"width": size[0], "height": size[1]})

    def screenshot(self, path: Path, whole: bool = False) -> None:
        """Write the window's content, or the `whole` page, as PNG."""
        self.page.screenshot(path=path, full_page=whole)


@contextmanager
def visit(folder: Path, size: tuple[int, int] = DESKTOP) -> Iterator[Visit]:
    """Serve `folder` and run a browser as long as the context lasts.

    Where no browser is installed the test is skipped, or fails in continuous integration (``CI``).
    """
    program = _program()
    with _served(folder) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            # The second also stops requests that cannot be observed, such as the look-up of a name.
            args=["--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
            chromium_sandbox=os.name != "posix" or os.geteuid() != 0,  # the sandbox does not start for root
        )
        try:
            context = browser.new_context(
                viewport={"width": size[0], "height": size[1]},
                service_workers="block",
                reduced_motion="reduce",
            )
            visited = Visit(context.new_page(), address)
            _watch(visited)
            yield visited
        finally:
            browser.close()


def _program() -> str:
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        reason = f"no browser is installed: none of {', '.join(PROGRAMS)} is on PATH"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _watch(visited: Visit) -> None:
    def answer(route: Route) -> None:
        if route.request.url.startswith(visited.address):
            route.continue_()
        else:
            visited.foreign.append(route.request.url)
            route.abort()

    page = visited.page
    page.context.route(lambda url: not url.startswith(("data:", "blob:")), answer)
    page.context.route_web_socket("**", lambda socket: visited.foreign.append(socket.url))
    page.on("pageerror", lambda error: visited.errors.append(str(error)))
    page.on(
        "console",
        lambda message: (
            visited.errors.append(f"{message.text} ({message.location['url']})")
            if message.type == "error"
            else None
        ),
    )


class _Quiet(SimpleHTTPRequestHandler):
    """Writes nothing to standard error."""

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port of 127.0.0.1, and yield its address."""
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Quiet, directory=os.fspath(folder))
    ) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
