"""Run one command: arguments, signals, errors, exit code."""

from __future__ import annotations

from contextlib import contextmanager

from lakefs_client.cli import _parser, _stdout

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

INTERRUPTED = 130


class Interrupted(KeyboardInterrupt):
    """A signal that ends programs, by its number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def run(arguments: Sequence[str]) -> int:
    """Run the command in the arguments and return its exit code."""
    _stdout.open_if_closed()
    options = None
    try:
        options = _parser.parse(arguments)
        return _stdout.finish(_carry_out(options))
    except SystemExit as error:  # argparse has said why
        return _stdout.finish(error.code if isinstance(error.code, int) else 0)
    except BrokenPipeError:
        _stdout.abandon()
        return 0
    except KeyboardInterrupt:
        from lakefs_client.cli._output import say

        say("interrupted")
        if getattr(options, "resume", False):
            say(
                "hint: the same command continues; 'lakefs-client transfers list' shows the "
                "uploads."
            )
        _stdout.finish(INTERRUPTED)
        return INTERRUPTED


def _carry_out(options: argparse.Namespace) -> int:
    from lakefs_client.cli._app import App

    with _ending_by_signals(), App(options) as app:
        try:
            return options.run(app, options) or 0
        except (BrokenPipeError, KeyboardInterrupt):
            raise
        except Exception as error:
            return app.failed(error)


@contextmanager
def _ending_by_signals() -> Iterator[None]:
    """Let the first signal that ends programs interrupt the command, which then cleans up.

    Those that follow are ignored, except for another Ctrl-C: CI systems send SIGTERM a few seconds
    after SIGINT, which is too soon for an abort over a slow network.
    """
    import signal

    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    former = {number: signal.getsignal(number) for number in numbers}
    # A job in the background, or under nohup, ignores some of them.
    handled = [number for number in numbers if former[number] != signal.SIG_IGN]

    def end(received: int, frame: object) -> None:
        for number in handled:
            impatient = number == received == signal.SIGINT
            signal.signal(number, signal.default_int_handler if impatient else signal.SIG_IGN)
        raise Interrupted(received)

    for number in handled:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, former[number])
