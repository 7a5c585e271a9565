"""The end of stdout: what was written must arrive, unless nobody wants to read it."""

from __future__ import annotations

import os
import sys


def write(text: str) -> int:
    """Write text to stdout and return the exit code."""
    if sys.stdout is not None:
        sys.stdout.write(text)
    return finish(0)


def finish(code: int) -> int:
    """Flush stdout and return an exit code: `code`, or 1 if the flush fails."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        abandon()
    except (OSError, ValueError) as error:
        abandon()
        if sys.stderr is not None:
            sys.stderr.write(f"lakefs-client: error: cannot write to stdout: {error}\n")
        return code or 1
    return code


def abandon() -> None:
    """Keep the interpreter from flushing stdout again, which would fail again."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except (OSError, ValueError, AttributeError):
        pass
