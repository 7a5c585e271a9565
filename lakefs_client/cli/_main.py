"""Run one command: arguments, signals, errors, exit code."""

from __future__ import annotations

import os
import sys

from lakefs_client.cli import _parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

INTERRUPTED = 130


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does: transfers are aborted."""


def run(arguments: Sequence[str]) -> int:
    """Run the command in the arguments; return its exit code."""
    try:
        options = _parser.parse(arguments)
        code = _carry_out(options)
        _flush()
        return code
    except SystemExit as error:  # argparse has said why
        return _exit_code(error)
    except BrokenPipeError:
        _give_up_stdout()
        return 0
    except KeyboardInterrupt:
        from lakefs_client.cli._output import say

        say("interrupted")
        return INTERRUPTED
    except Exception as error:
        # Writing to stdout failed: the disk is full, or the stream is closed.
        from lakefs_client.cli._output import say

        _give_up_stdout()
        say(f"{_parser.PROGRAM}: error: cannot write to stdout: {error}")
        return 1


def _carry_out(options: argparse.Namespace) -> int:
    import signal

    from lakefs_client.cli._app import App

    def terminate(*_: object) -> None:
        raise Terminated

    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        with App(options) as app:
            try:
                return options.run(app, options) or 0
            except (BrokenPipeError, KeyboardInterrupt):
                raise
            except Exception as error:
                return app.failed(error)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _exit_code(error: SystemExit) -> int:
    return error.code if isinstance(error.code, int) else 0


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _give_up_stdout() -> None:
    """Keep the interpreter from a second attempt to flush what nobody reads."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        pass
