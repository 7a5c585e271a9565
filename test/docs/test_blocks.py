"""Every block of Python in the README, the guides and the reference runs as it stands."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from docs.conftest import ROOT
from lakefs_client.sandbox import Sandbox


class Block(NamedTuple):
    """A block of code in a page."""

    page: str
    line: int
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*patterns: str) -> Iterator[Block]:
    for path in sorted(path for pattern in patterns for path in ROOT.glob(pattern)):
        text = path.read_text("utf-8")
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start()) + 2
            yield Block(str(path.relative_to(ROOT)), line, match[1])


PROSE = list(blocks("README.md", "docs/guides/*.md"))
OPERATIONS = list(blocks("docs/*Api.md"))
MODELS = list(blocks("docs/models/*.md"))


def run(block: Block, sandbox: Sandbox | None = None) -> str:
    """Execute a block, its server and credentials those of the sandbox; returns what it prints."""
    code = block.code
    if sandbox is not None:
        code = code.replace("http://localhost:8000", sandbox.endpoint)
        code = code.replace("YOUR_ACCESS_KEY_ID", sandbox.access_key_id)
        code = code.replace("YOUR_SECRET_ACCESS_KEY", sandbox.secret_access_key)
    source = "\n" * (block.line - 1) + code
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, block.page, "exec"), {"__name__": "__main__"})
    return printed.getvalue()


@pytest.mark.parametrize("block", PROSE, ids=str)
def test_prose(
    block: Block, furnished: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    assert "failed" not in run(block, furnished)


@pytest.mark.parametrize("block", OPERATIONS, ids=str)
def test_operation(block: Block, furnished: Sandbox) -> None:
    printed = run(block, furnished)
    assert "(0)" not in printed  # what failed was answered by the server
    assert len(furnished.requests) == 1


@pytest.mark.parametrize("page", sorted({block.page for block in MODELS}))
def test_model(page: str) -> None:
    for block in MODELS:
        if block.page == page:
            assert run(block) == ""


def test_every_operation_and_most_models_have_an_example() -> None:
    operations = sum(
        path.read_text("utf-8").count("\n### Parameters\n") for path in ROOT.glob("docs/*Api.md")
    )
    assert len(OPERATIONS) == operations == 150
    assert len(MODELS) > 100
