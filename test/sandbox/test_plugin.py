"""The pytest plugin."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path


def test_plugin_imports_nothing_at_load() -> None:
    program = (
        "import sys, pytest; before = set(sys.modules); import lakefs_client.sandbox.plugin; "
        "print(sorted(m for m in set(sys.modules) - before if 'lakefs' in m))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    allowed = {
        "lakefs_client",
        "lakefs_client._version",
        "lakefs_client.sandbox",
        "lakefs_client.sandbox.plugin",
    }
    assert set(ast.literal_eval(done.stdout.decode())) <= allowed


def test_each_test_has_its_own_sandbox(tmp_path: Path) -> None:
    test = """
import pytest

seen = []

@pytest.mark.parametrize("number", [1, 2])
def test_sandbox(lakefs_sandbox, number):
    assert lakefs_sandbox.endpoint.startswith("http://127.0.0.1:")
    assert lakefs_sandbox not in seen
    seen.append(lakefs_sandbox)
"""
    (tmp_path / "test_sandbox.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    command += ["-p", "lakefs_client.sandbox.plugin", "--rootdir", str(tmp_path), str(tmp_path)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert b"2 passed" in done.stdout, done.stdout


def test_fixtures_run_in_parallel(tmp_path: Path) -> None:
    test = """
import pytest
from lakefs_client.apis import ObjectsApi

@pytest.mark.parametrize("number", range(8))
def test_sandbox(lakefs_sandbox, lakefs_api_client, lakefs_repository, number):
    assert lakefs_api_client.configuration.host.startswith(lakefs_sandbox.endpoint)
    assert lakefs_repository.id == "example-repo"
    objects = ObjectsApi(lakefs_api_client)
    assert objects.list_objects(lakefs_repository.id, "main").results == []
    objects.upload_object(lakefs_repository.id, "main", "x", content=b"1")
"""
    (tmp_path / "test_sandbox.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    command += ["-p", "xdist", "-n", "2", "-p", "lakefs_client.sandbox.plugin"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True,
        env=environment,
        check=False,
    )
    assert b"8 passed" in done.stdout, done.stdout
