"""CPU seconds of starting and ending short programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import lakefs_client

_PACKAGE = str(Path(lakefs_client.__file__).parents[1])


def _run(*arguments: str) -> float:
    """Run Python without its site-packages, whose startup costs more than the measures."""
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
    """Run ``python -c pass``."""
    return _run("pass")


def python_help() -> float:
    """Run ``lakefs-client --help``."""
    return _run(_COMMAND, "--help")


def python_version() -> float:
    """Run ``lakefs-client --version``."""
    return _run(_COMMAND, "--version")


def python_command() -> float:
    """Run ``lakefs-client cp --help``, which needs the parser."""
    return _run(_COMMAND, "cp", "--help")
