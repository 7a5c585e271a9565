"""The end of stdout: what was written must arrive, unless nobody wants to read it."""

from __future__ import annotations

import os
import sys


def open_if_closed() -> None:
    """Discard what is written to stdout if this process was started without one."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def finish(code: int, text: str = "") -> int:
    """Write a last text to stdout, flush it, and return `code`, or an error's exit code."""
    try:
        if sys.stdout is not None:
            sys.stdout.write(text)
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
