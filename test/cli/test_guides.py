"""The guides are up to date, and their commands work."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from integration.support import Repositories, Server

from cli.support import PATIENCE, Cli
from lakefs_client.cli.completion import SHELLS

ROOT = Path(__file__).resolve().parents[2]
BASH = shutil.which("bash")


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """The program that writes the guide and the completion scripts."""
    path = ROOT / "tools/command_line.py"
    spec = importlib.util.spec_from_file_location("command_line", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_guide_is_what_the_parser_says(tool: ModuleType) -> None:
    assert tool.GUIDE.read_text("utf-8") == tool.guide(), "run python tools/command_line.py"


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="argparse of 3.13 words options otherwise")
def test_completion_scripts_are_what_the_parser_says(tool: ModuleType) -> None:
    pytest.importorskip("shtab")
    for path, text in tool.scripts().items():
        assert path.read_text("utf-8") == text, "run python tools/command_line.py"


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_prints_the_script(cli: Cli, shell: str) -> None:
    script = ROOT / f"lakefs_client/cli/completions/lakefs-client.{shell}"
    assert cli("completion", shell).text == script.read_text("utf-8")


@pytest.mark.skipif(BASH is None, reason="there is no bash")
def test_completion_works_in_bash(cli: Cli) -> None:
    script = ROOT / "lakefs_client/cli/completions/lakefs-client.bash"
    lines = (
        f"source {script}",
        "COMP_WORDS=(lakefs-client branch cr) COMP_CWORD=2",
        "$(complete -p lakefs-client | sed 's/.*-F \\([^ ]*\\).*/\\1/') lakefs-client cr branch",
        "echo ${COMPREPLY[@]}",
    )
    done = subprocess.run(
        [str(BASH), "-c", "\n".join(lines)], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stdout.split() == ["create"], done


@pytest.fixture
def program(cli: Cli) -> str:
    """A PATH on which `lakefs-client` and `python` are those under test."""
    folder = cli.folder / "bin"
    folder.mkdir()
    for name, command in (("lakefs-client", "-m lakefs_client"), ("python", "")):
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {command} "$@"\n')
        path.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def shell_blocks(page: Path) -> Iterator[str]:
    """Yield the code that a page shows for a shell, up to its list of commands."""
    text = page.read_text("utf-8").partition("\n## Commands: ")[0]
    yield from re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(BASH is None, reason="there is no bash")
def test_commands_of_the_guide(
    cli: Cli, program: str, repositories: Repositories, lakefs_server: Server
) -> None:
    name = repositories.new_name()
    cli.file("dataset/labels.csv", b"id,bird\n")
    cli.file("dataset/train/0001.jpg", b"jpg")
    cli.file("model.bin", b"weights")
    blocks = [*shell_blocks(ROOT / "docs/guides/command-line.md")]
    code = "".join(blocks)
    code = re.sub(r"^(pip|export) .*\n", "", code, flags=re.MULTILINE)
    code = code.replace("s3://my-bucket/my-repo", lakefs_server.namespace(name))
    code = code.replace("my-repo", name)
    done = subprocess.run(
        [str(BASH), "-euo", "pipefail", "-c", code],
        cwd=cli.folder,
        env=cli.variables({"PATH": program}),
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE,
    )
    assert done.returncode == 0, done
    assert "id,bird\n" in done.stdout
    assert (cli.folder / "copy.bin").read_bytes() == b"weights"
    assert (cli.folder / "home/.local/share/bash-completion/completions/lakefs-client").exists()
