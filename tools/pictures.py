"""Command that draws the pictures of the command line, ``docs/terminal-*.svg``.

`python tools/pictures.py` runs each scene's commands in a pseudo-terminal against the sandbox, and
draws the screen. The command needs pyte, and tqdm for the progress bars.
"""

from __future__ import annotations

import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from fcntl import ioctl
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pyte

from lakefs_client import ApiClient
from lakefs_client.apis import CommitsApi, RepositoriesApi
from lakefs_client.models import CommitCreation, RepositoryCreation
from lakefs_client.sandbox import Sandbox
from lakefs_client.transfer import Transfer

DOCS = Path(__file__).resolve().parent.parent / "docs"
COLUMNS, ROWS = 80, 40
PROMPT = "$ "


class Scene(NamedTuple):
    """A picture: its title and its commands."""

    title: str
    commands: tuple[str, ...]


SCENES = {
    "terminal-upload.svg": Scene(
        "Upload of a file, and a commit",
        (
            "lakefs-client cp model.bin lakefs://birds/main/models/",
            "lakefs-client diff lakefs://birds/main",
            'lakefs-client commit lakefs://birds/main -m "Add the model"',
        ),
    ),
    "terminal-sync.svg": Scene(
        "Synchronization of a folder",
        (
            "lakefs-client sync dataset lakefs://birds/main/dataset --delete --dry-run",
            "lakefs-client sync dataset lakefs://birds/main/dataset --delete",
            "lakefs-client diff lakefs://birds/main",
        ),
    ),
}


def screen(scene: Scene) -> Any:
    """Run a scene's commands and return the resulting screen."""
    with tempfile.TemporaryDirectory() as name, Sandbox() as sandbox:
        folder = Path(name)
        with ApiClient(sandbox.configuration()) as client:
            _prepare(folder, client, sandbox.storage_namespace)
        environment = {
            "HOME": name,
            "LAKECTL_SERVER_ENDPOINT_URL": sandbox.endpoint,
            "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": sandbox.access_key_id,
            "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": sandbox.secret_access_key,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
        }
        terminal = pyte.Screen(COLUMNS, ROWS)
        stream = pyte.ByteStream(terminal)
        for command in scene.commands:
            stream.feed(f"{PROMPT}{command}\r\n".encode())
            for data in _run(command, folder, environment):
                stream.feed(data)
    return terminal


def _prepare(folder: Path, client: ApiClient, namespace: str) -> None:
    """Create the files, and a repository with an earlier version of the dataset."""
    RepositoriesApi(client).create_repository(RepositoryCreation("birds", f"{namespace}birds"))
    for number in range(5):
        path = folder / "dataset" / "images" / f"{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(240_000 + 1_000 * number))
    (folder / "dataset" / "labels.csv").write_text("id,bird\n1,wren\n")
    Transfer(client).upload_directory(folder / "dataset", "birds", "main", "dataset")
    CommitsApi(client).commit("birds", "main", CommitCreation("Add the dataset"))
    (folder / "dataset" / "labels.csv").write_text("id,bird\n1,wren\n2,robin\n")
    (folder / "dataset" / "images" / "0002.jpg").unlink()
    (folder / "dataset" / "images" / "0005.jpg").write_bytes(os.urandom(245_000))
    (folder / "model.bin").write_bytes(os.urandom(200_000_000))


def _run(command: str, folder: Path, environment: dict[str, str]) -> Iterator[bytes]:
    """Yield the output of a command in a terminal."""
    controller, terminal = pty.openpty()
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        ["sh", "-c", command],
        cwd=folder,
        env=environment,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    with open(controller, "rb", buffering=0) as output:
        while True:
            try:
                data = output.read(65536)
            except OSError:  # Linux reports the end of a terminal as an error
                data = b""
            if not data:
                break
            yield data
    if process.wait() != 0:
        raise SystemExit(f"{command}: exit code {process.returncode}")


CELL, LINE, PAD, BAR = 8.4, 20, 16, 34
STYLE = """
    .window { fill: #ffffff; stroke: #c9d1d9; }
    .dot { fill: #d0d7de; }
    text { fill: #1f2328; font: 14px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace; }
    .title { fill: #57606a; font: 13px Helvetica, Arial, 'DejaVu Sans', sans-serif; }
    .prompt, .green { fill: #116329; }
    .red { fill: #a40e26; }
    .brown { fill: #7d4e00; }
    .typed { font-weight: bold; }
    @media (prefers-color-scheme: dark) {
      .window { fill: #0d1117; stroke: #3d444d; }
      .dot { fill: #3d444d; }
      text { fill: #e6edf3; }
      .title { fill: #9da7b3; }
      .prompt, .green { fill: #7ee787; }
      .red { fill: #ff7b72; }
      .brown { fill: #e3b341; }
    }
"""


def draw(title: str, terminal: Any) -> str:
    """Return a screen as SVG. Each run of characters has a fixed length in any font."""
    rows = [row.rstrip() for row in terminal.display]
    while not rows[-1]:
        rows.pop()
    width = round(COLUMNS * CELL + 2 * PAD)
    height = BAR + len(rows) * LINE + PAD
    lines = "\n".join(
        _text(column, BAR + number * LINE + 16, text, kind)
        for number, row in enumerate(rows)
        for column, text, kind in _runs(row, terminal.buffer[number])
    )
    dots = "".join(f'<circle class="dot" cx="{18 + 18 * n}" cy="17" r="5.5"/>' for n in range(3))
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"
     width="{width}" height="{height}" role="img" aria-labelledby="title">
  <title id="title">{escape(title)}</title>
  <style>{STYLE}  </style>
  <rect class="window" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>
  {dots}
  <text class="title" x="{width / 2:g}" y="22" text-anchor="middle">{escape(title)}</text>
{lines}
</svg>
"""


def _runs(row: str, cells: Any) -> Iterator[tuple[int, str, str]]:
    """Yield the column, text and color of each run of one color in a row."""
    if row.startswith(PROMPT):
        yield 0, PROMPT.strip(), "prompt"
        yield len(PROMPT), row[len(PROMPT) :], "typed"
        return
    start = 0
    for color, run in groupby(cells[column].fg for column in range(len(row))):
        text = row[start : start + len([*run])]
        if text.strip():
            yield start + len(text) - len(text.lstrip()), text.strip(), color
        start += len(text)


def _text(column: int, y: int, text: str, kind: str) -> str:
    css = "" if kind == "default" else f' class="{kind}"'
    x, length = PAD + column * CELL, len(text) * CELL
    return (
        f'  <text{css} x="{x:.1f}" y="{y}" textLength="{length:.1f}" xml:space="preserve">'
        f"{escape(text)}</text>"
    )


def main() -> None:
    for name, scene in SCENES.items():
        (DOCS / name).write_text(draw(scene.title, screen(scene)), "utf-8")


if __name__ == "__main__":
    main()
