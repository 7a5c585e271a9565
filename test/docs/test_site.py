"""The documentation site: navigation, llms.txt and the strict build."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from docs.conftest import ROOT

DOCS = ROOT / "docs"


def pages(nav: Any) -> Iterator[str]:
    """Yield the paths in a navigation."""
    for item in nav.values() if isinstance(nav, dict) else nav:
        if isinstance(item, str):
            yield item
        else:
            yield from pages(item)


NAVIGATION = [*pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])]


def test_navigation_lists_every_page() -> None:
    written = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert {path for path in written if not path.startswith("models/")} == {*NAVIGATION}
    assert len(NAVIGATION) == len({*NAVIGATION})


def test_llms_txt_links_pages_except_operations() -> None:
    links = re.findall(r"\]\((.*?)\)", (DOCS / "llms.txt").read_text("utf-8"))
    assert {*links} == {p for p in NAVIGATION if not p.endswith("Api.md") and p != "README.md"}


def test_site_has_every_page(site: Path) -> None:
    for path in NAVIGATION:
        page = site / ("" if path == "README.md" else path.removesuffix(".md")) / "index.html"
        assert page.exists(), path
    assert (site / "llms.txt").exists()


class Page(HTMLParser):
    """A parsed page with its links and anchors.

    Attributes:
        links: Addresses of links.
        loaded: Addresses of resources that browsers load.
        ids: Targets of fragments.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids = {""}
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids.add(values.get("id") or "")
        link = values.get("href") or values.get("src")
        if not link or values.get("rel") == "canonical":
            return
        (self.links if tag == "a" else self.loaded).append(link)


@pytest.fixture(scope="module")
def parsed(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def test_site_links_have_targets(site: Path, parsed: dict[Path, Page]) -> None:
    broken = []
    followed = 0
    for path, page in parsed.items():
        for link in {*page.links, *page.loaded}:
            url = urlsplit(link)
            if url.scheme or link.startswith("/"):  # the page 404.html has absolute links
                continue
            followed += 1
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.exists() or (
                target in parsed and unquote(url.fragment) not in parsed[target].ids
            ):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []
    assert followed > 10_000


def test_site_loads_nothing_from_other_hosts(parsed: dict[Path, Page]) -> None:
    loaded = {link for page in parsed.values() for link in page.loaded}
    assert {link for link in loaded if urlsplit(link).netloc} == set()
