"""The documentation site: navigation, llms.txt and the strict build."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

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


@pytest.mark.skipif(find_spec("zensical") is None, reason="zensical is not installed")
def test_site_builds_without_warnings(tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    site = tmp_path / "site"
    assert (site / "guides" / "connecting" / "index.html").exists()
    assert (site / "ExperimentalApi" / "index.html").exists()
    assert (site / "llms.txt").exists()
    # The site loads nothing from other hosts.
    loaded = re.findall(
        r'<(?:script|link|img)[^>]*(?:src|href)="(https?:[^"]+)"',
        (site / "start" / "index.html").read_text("utf-8"),
    )
    assert [url for url in loaded if "canonical" not in url] == []
