"""Examples of the guide for other clients."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakefs_client.sandbox import Sandbox, __main__

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/guides/sandbox.md").read_text("utf-8")


def recipe(heading: str) -> str:
    """Return the first code block below a heading of the guide."""
    match = re.search(rf"^### {heading}$.*?^```\w+\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    assert match is not None
    return match[1]


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Provide the guide's settings, for a sandbox on a free port."""
    with Sandbox() as sandbox:
        yield {
            **os.environ,
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "LAKECTL_SERVER_ENDPOINT_URL": sandbox.endpoint,
            "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": sandbox.access_key_id,
            "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": sandbox.secret_access_key,
        }


def run(command: list[str], environment: dict[str, str], directory: Path) -> str:
    done = subprocess.run(
        command, env=environment, cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_lakectl_recipe(environment: dict[str, str], tmp_path: Path) -> None:
    lakectl = os.environ.get("LAKECTL") or shutil.which("lakectl")
    if lakectl is None:
        pytest.skip("needs lakectl, named by LAKECTL or on the PATH")
    environment["PATH"] = f"{Path(lakectl).parent}{os.pathsep}{environment['PATH']}"
    output = run(["bash", "-e", "-c", recipe("lakectl")], environment, tmp_path)
    assert output.endswith("hello\n")


def test_lakefs_package_recipe(environment: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("lakefs", reason="needs the package lakefs")
    code = recipe("The package lakefs")
    assert run([sys.executable, "-c", code], environment, tmp_path) == "hello\n"


def test_lakefs_spec_recipe(environment: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("lakefs_spec", reason="needs the package lakefs-spec")
    code = recipe("lakefs-spec")
    assert run([sys.executable, "-c", code], environment, tmp_path) == "b'hello'\n"


def test_container_runs_command(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "Containerfile").read_text("utf-8")
    entrypoint = re.search(r"^ENTRYPOINT \[(.*)\]$", text, re.MULTILINE)
    assert entrypoint is not None
    program, flag, module, *arguments = re.findall(r'"([^"]*)"', entrypoint[1])
    assert (program, flag, module) == ("python", "-m", "lakefs_client.sandbox")
    options: dict[str, object] = {}
    monkeypatch.setattr(__main__, "serve", lambda given, _: options.update(given) or 0)
    assert __main__.main(arguments) == 0
    assert options["host"] == "0.0.0.0"
    assert options["store_port"] is None
    port = options["port"]
    assert isinstance(port, int)
    assert re.search(rf"^EXPOSE {port} {port + 1}$", text, re.MULTILINE)
    for name in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / path).exists() for path in name.split())


def test_guide_lists_every_option() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lakefs_client.sandbox", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for option in set(re.findall(r"--[a-z0-9-]+", done.stdout)) - {"--help"}:
        assert f"`{option}`" in GUIDE, option
