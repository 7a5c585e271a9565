"""The site in a browser: console errors, other hosts, and overflow of the window.

The tests are skipped without Chromium, `playwright` and `zensical`: `tox -e browser`.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; CHROMIUM names it"),
    pytest.mark.timeout(600),
]

WIDTHS = (1280, 400)
"""Widths of a laptop's window and of a phone, in CSS pixels."""

OVERFLOW = """() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    return [...document.querySelectorAll("article *")]
        .filter(element => element.getBoundingClientRect().right > width + 1)
        .filter(element => !element.closest(".md-typeset__scrollwrap, pre, .highlight"))
        .map(element => element.outerHTML.slice(0, 100))
        .concat("the page");
}"""
"""Script that returns the elements wider than the window."""


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None: ...


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Serve the site and provide its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def test_pages_fit_the_window_without_errors(site: Path, address: str, browser: Any) -> None:
    page = browser.new_page()
    problems: list[str] = []

    def check(response: Any) -> None:
        if response.status >= 400:
            problems.append(f"{page.url}: {response.status} {response.url}")
        if not response.url.startswith(address):
            problems.append(f"{page.url} loads {response.url}")

    page.on("console", lambda message: problems.append(f"{page.url} console: {message.text}"))
    page.on("pageerror", lambda error: problems.append(f"{page.url} error: {error}"))
    page.on("response", check)
    pages = sorted(path.parent.relative_to(site) for path in site.rglob("index.html"))
    assert len(pages) > 100
    for path in pages:
        page.goto(f"{address}{path}/")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            problems += [f"{path} at {width}: {found}" for found in page.evaluate(OVERFLOW)]
    page.close()
    assert problems == []


def test_search_finds_pages(address: str, browser: Any) -> None:
    page = browser.new_page()
    page.goto(address)
    page.locator(".md-search__button").click()
    page.keyboard.type("conflict")
    page.get_by_text("Avoid conflicts").first.wait_for(timeout=20_000)
    page.close()
