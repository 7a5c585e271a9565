"""Startup: help and version load no heavy modules."""

from __future__ import annotations

import subprocess
import sys

import pytest

import lakefs_client
from lakefs_client.cli import _commands

HEAVY = {
    "urllib3", "dateutil", "certifi", "dataclasses", "json", "logging", "typing", "inspect",
    "urllib", "ssl", "socket", "http", "email", "tqdm", "yaml", "shutil", "threading", "tempfile",
    "subprocess", "lakefs_client.client", "lakefs_client.transfer", "lakefs_client.configuration",
}  # fmt: skip


def loaded_by(*arguments: str) -> set[str]:
    """Return the modules that the command loads in a bare interpreter."""
    code = (
        f"import sys; sys.path[:0] = {[*sys.path[1:]]!r}; before = set(sys.modules)\n"
        "from lakefs_client.cli import main\n"
        f"code = main({[*arguments]!r})\n"
        "print(code, *set(sys.modules) - before, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    code, *modules = done.stderr.split()
    assert code == "0"
    assert done.stdout
    return set(modules)


@pytest.mark.parametrize(
    "arguments",
    [("--version",), ("-v",), ("--help",), *((name, "--help") for name in _commands.names())],
    ids=" ".join,
)
def test_help_and_version_load_no_heavy_module(arguments: tuple[str, ...]) -> None:
    assert loaded_by(*arguments) & HEAVY == set()


def test_version_is_printed() -> None:
    for command in (["-m", "lakefs_client", "--version"], ["-m", "lakefs_client", "-v", "--json"]):
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, check=True
        )
        assert done.stdout == f"lakefs-client {lakefs_client.__version__}\n"
