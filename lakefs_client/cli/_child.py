"""Commands that a command starts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from lakefs_client.cli._errors import NOT_FOUND, CommandError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GRACE = 5.0
"""Seconds that an interrupted command has to end. CI systems kill everything after ten."""


def require(command: Sequence[str]) -> str:
    """Return the path of a command's program.

    Raises:
        CommandError: There is no such program.
    """
    found = shutil.which(command[0])
    if found is None:
        raise CommandError(f"{command[0]}: command not found", NOT_FOUND)
    return found


def run(command: Sequence[str], variables: Mapping[str, str | None]) -> int:
    """Run a command with other variables in its environment, and return its exit code.

    Args:
        command: The program and its arguments.
        variables: Values by name; None removes a variable.

    Raises:
        CommandError: The command cannot be started.
    """
    program = require(command)
    merged = {**os.environ, **variables}
    environment = {name: value for name, value in merged.items() if value is not None}
    try:
        process = subprocess.Popen([program, *command[1:]], env=environment)
    except OSError as error:
        raise UsageError(f"{command[0]}: cannot be run: {error.strerror}") from error
    try:
        code = process.wait()
    except KeyboardInterrupt as interrupt:
        _end(process, getattr(interrupt, "number", None))
        raise
    # A command that a signal ended has the code that shells give it.
    return code if code >= 0 else 128 - code


def _end(process: subprocess.Popen[bytes], number: int | None) -> None:
    """End a command upon a signal to this process.

    Ctrl-C on a terminal reaches the command too. A signal of another program does not.
    """
    try:
        if number == signal.SIGINT and sys.stdin is not None and sys.stdin.isatty():
            process.wait(GRACE / 2)
        else:
            process.send_signal(number or signal.SIGTERM)
            process.wait(GRACE)
    except (subprocess.TimeoutExpired, ValueError):
        process.kill()
        process.wait()
