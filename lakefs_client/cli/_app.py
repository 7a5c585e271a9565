"""The tools of a command: its output, and the client when it is needed."""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import ExitStack
from functools import cached_property

from lakefs_client.cli import _errors
from lakefs_client.cli._errors import CommandError, UsageError
from lakefs_client.cli._output import Output, as_text, is_terminal, say
from lakefs_client.exceptions import ApiValueError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from typing_extensions import Self

    from lakefs_client.api_client import ApiClient
    from lakefs_client.client import LakeFSClient
    from lakefs_client.configuration import Configuration
    from lakefs_client.credentials import Discovery
    from lakefs_client.transfer import Transfer, TransferConfig


_CONFLICTS_SHOWN = 100
_REPORTED = ("job", "transactions")
"""Modules whose warnings the report or the error of a command repeats."""


class App:
    """One run of the program; as a context manager, it prints warnings and log lines to stderr.

    Args:
        options: The parsed arguments.

    Attributes:
        options: The parsed arguments.
        out: Where results go.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.out = Output(as_json=options.json, quiet=options.quiet, color=not options.no_color)
        self._on_exit = ExitStack()

    def __enter__(self) -> Self:
        shown = warnings.showwarning
        warnings.showwarning = self._warn
        self._on_exit.callback(setattr, warnings, "showwarning", shown)
        self._log()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._on_exit.close()

    @cached_property
    def configuration(self) -> Configuration:
        """The server and the credentials that are in force."""
        discovery = self.discovery
        try:
            return discovery.configuration()
        except ApiValueError as error:
            hint = "'lakefs-client login' asks for server and credentials, and keeps them."
            raise UsageError(str(error), hint) from error

    @cached_property
    def discovery(self) -> Discovery:
        """The server and the credentials that were found, and where."""
        from lakefs_client import credentials

        if self.options.config:
            # As a variable, so that commands started by this one read the same file.
            os.environ[credentials.FILE_VARIABLE] = os.path.abspath(self.options.config)
        return credentials.discover()

    @cached_property
    def lakefs(self) -> LakeFSClient:
        """Every group of operations."""
        from lakefs_client.client import LakeFSClient

        return self._on_exit.enter_context(LakeFSClient(self.configuration))

    @property
    def client(self) -> ApiClient:
        """The client that the groups of operations call through."""
        return self.lakefs.objects_api.api_client

    def transfer(self, config: TransferConfig | None = None) -> Transfer:
        """Return a transfer with the client."""
        from lakefs_client.transfer import Transfer

        return Transfer(self.client, config)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something is lost, unless --yes was given.

        Raises:
            UsageError: There is no terminal to ask on.
            CommandError: The answer is not yes.
        """
        if yes:
            return
        if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
            raise UsageError(
                f"{question}: there is no terminal to ask for confirmation", "Give --yes."
            )
        sys.stderr.write(f"{question}? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise CommandError("not confirmed, nothing was changed")

    def _warn(self, message: Warning | str, *_: object, **__: object) -> None:
        if not self.out.quiet:
            say(f"lakefs-client {self.options.name}: warning: {message}")

    def _log(self) -> None:
        """Show the library's warnings, or with --debug its whole log."""
        import logging

        handler = logging.StreamHandler()
        logger = logging.getLogger("lakefs_client")
        if self.options.debug:
            self._on_exit.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.DEBUG)
            handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        else:
            handler.setLevel(logging.ERROR if self.out.quiet else logging.WARNING)
            handler.setFormatter(
                logging.Formatter(f"lakefs-client {self.options.name}: %(message)s")
            )
            handler.addFilter(lambda record: record.module not in _REPORTED)
        logger.addHandler(handler)
        self._on_exit.callback(logger.removeHandler, handler)

    def failed(self, error: Exception) -> int:
        """Say what went wrong and return the exit code."""
        if self.options.debug:
            import traceback

            say("".join(traceback.format_exception(error)).rstrip())
        code, sentence, hint = _errors.explain(error)
        if _errors.needs_place(error):
            places = filter(_is_place, self.options.words)
            sentence = ": ".join([*places, sentence])
        return self.fail(sentence, hint, code, error)

    def fail(self, sentence: str, hint: str, code: int, error: Exception | None = None) -> int:
        """Write an error to stderr and return its exit code."""
        if self.out.as_json:
            import json

            say(json.dumps(_errors.as_record(code, sentence, hint, error)))
            return code
        for path in _errors.conflicting_paths(error)[:_CONFLICTS_SHOWN]:
            self.out.note(f"conflict: {as_text(path)}")
        label = self.out.paint("error:", "red", sys.stderr)
        say(f"lakefs-client {self.options.name}: {label} {as_text(sentence)}")
        if hint:
            say(f"hint: {as_text(hint)}")
        return code


def _is_place(word: str) -> bool:
    return word.lower().startswith("lakefs://")


def as_dict(model: Any) -> dict[str, Any]:
    """Return a model as its JSON."""
    from lakefs_client.api_client import ApiClient

    record: dict[str, Any] = ApiClient.sanitize_for_serialization(model)
    return record
