"""Pictures of the command line match the output of their commands."""

from __future__ import annotations

import importlib.util
import re
from html import unescape
from types import ModuleType

import pytest

from docs.conftest import ROOT

pytest.importorskip("pyte", reason="pyte is not installed")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "tools" / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = load()


def lines(svg: str) -> list[str]:
    """Return the texts of a picture, without rates and ids, which differ in each run."""
    texts = (unescape(text) for text in re.findall(r"<text[^>]*>(.*)</text>", svg))
    plain = (re.sub(r"^ *\d+%\|.*", "progress", text) for text in texts)
    return sorted(re.sub(r"\b[0-9a-f]{64}\b", "id", text) for text in plain)


@pytest.mark.parametrize("name", tool.SCENES)
def test_picture_matches_the_command_output(name: str) -> None:
    scene = tool.SCENES[name]
    drawn = lines(tool.draw(scene.title, tool.screen(scene)))
    assert len(drawn) > 2 * len(scene.commands) + 1
    written = (tool.DOCS / name).read_text("utf-8")
    assert drawn == lines(written), "run python tools/pictures.py"
