"""CPU seconds of programs that start, do next to nothing, and end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import lakefs_client

_PACKAGE = str(Path(lakefs_client.__file__).parents[1])


def _run(*arguments: str) -> float:
    """Run Python without site-packages of its own, which cost more than what is measured."""
    code = f"import sys; sys.path[:0] = [{_PACKAGE!r}]; {arguments[0]}"
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code, *arguments[1:]], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


_COMMAND = "from lakefs_client.cli import main; sys.exit(main())"


def python_floor() -> float:
    """``python -c pass``."""
    return _run("pass")


def python_help() -> float:
    """``lakefs-client --help``."""
    return _run(_COMMAND, "--help")


def python_version() -> float:
    """``lakefs-client --version``."""
    return _run(_COMMAND, "--version")


def python_command() -> float:
    """``lakefs-client cp --help``, which needs the parser."""
    return _run(_COMMAND, "cp", "--help")
