"""Command that takes the pictures of the notebook, ``docs/notebook-*.png``.

`python tools/notebook_pictures.py` runs docs/notebook.ipynb in JupyterLab with Chromium, and saves
pictures of its cells. The command needs jupyterlab, ipywidgets, playwright and Chromium. The
variable CHROMIUM names a Chromium that is not on the PATH.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

DOCS = Path(__file__).resolve().parent.parent / "docs"
WIDTH, HEIGHT = 900, 1000
CELLS = {"notebook-report.png": "upload_directory(", "notebook-listing.png": "diff_branch("}
"""Code of the shown cell, by picture."""
COMPLETION_CELL = "stat_object("
"""Code of the cell for the completion."""


@contextmanager
def jupyter(folder: str) -> Iterator[str]:
    """Run JupyterLab in a folder and yield the notebook's address."""
    command = [
        sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser", "--port=0",
        "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}",
        f"--LabApp.user_settings_dir={folder}/settings",
    ]  # fmt: skip
    question = Path(folder, "settings/@jupyterlab/apputils-extension/notification")
    question.parent.mkdir(parents=True)
    question.with_suffix(".jupyterlab-settings").write_text('{"fetchNews": "false"}')
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": folder, "IPYTHONDIR": folder}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stderr is not None
        try:
            for line in server.stderr:
                if found := re.search(r"http://(?:localhost|127\.0\.0\.1):(\d+)/lab", line):
                    yield f"http://127.0.0.1:{found[1]}/lab/tree/notebook.ipynb"
                    break
            else:
                raise SystemExit("JupyterLab did not start")
        finally:
            server.terminate()


def run_all(page: Any) -> None:
    """Execute all cells except the last, which ends the sandbox."""
    cells = page.locator(".jp-Notebook .jp-Cell")
    cells.first.click()
    for _ in range(cells.count() - 1):
        page.keyboard.press("Shift+Enter")
    page.wait_for_function(
        "() => document.querySelectorAll('.jp-Notebook .jp-OutputArea-output').length > 8"
    )
    page.wait_for_timeout(2000)


def cell(page: Any, code: str) -> Any:
    """Return the cell with some code."""
    return page.locator(".jp-Notebook .jp-CodeCell", has_text=code).first


def main() -> None:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        shutil.copy(DOCS / "notebook.ipynb", folder)
        with jupyter(folder) as address:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page: Any = browser.new_page(
                viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=1.5
            )
            page.goto(address)
            page.wait_for_selector(".jp-Notebook .jp-Cell")
            page.keyboard.press("Control+B")  # hide the list of files
            page.wait_for_timeout(3000)
            run_all(page)
            for name, code in CELLS.items():
                cell(page, code).scroll_into_view_if_needed()
                page.wait_for_timeout(500)
                cell(page, code).screenshot(path=DOCS / name)
            complete(page)
            browser.close()


def complete(page: Any) -> None:
    """Press Tab after ``stats.p``, and save a picture of the cell with the choices."""
    found = cell(page, COMPLETION_CELL)
    found.scroll_into_view_if_needed()
    found.locator(".cm-content").click()
    page.keyboard.press("Control+End")
    for _ in "size_bytes":
        page.keyboard.press("Backspace")
    page.keyboard.type("p")
    choices = page.locator(".jp-Completer")
    for _ in range(10):  # JupyterLab waits a second for the kernel, which is slow at first
        page.keyboard.press("Tab")
        page.wait_for_timeout(3000)
        if choices.is_visible():
            break
    frame, box = found.bounding_box(), choices.bounding_box()
    height = max(frame["height"], box["y"] + box["height"] - frame["y"]) + 8
    page.screenshot(path=DOCS / "notebook-completion.png", clip={**frame, "height": height})


if __name__ == "__main__":
    main()
