"""wait: wait for tasks of the server."""

from __future__ import annotations

from lakefs_client.cli import _parser
from lakefs_client.cli._app import as_dict
from lakefs_client.cli._errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import Any

    from lakefs_client.cli._app import App

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between two questions, of which the first ones follow quickly."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of wait."""
    add = _parser.add_verbs(parser)
    verb = add("import", "Wait for an import", wait_for_import)
    verb.add_argument(
        "branch", metavar="BRANCH", type=_parser.uri("ref"), help="lakefs://REPOSITORY/BRANCH"
    )
    _task(verb, "the id that import_start returned")
    for name, summary, run in (
        ("dump", "Wait for a dump of branches, tags and commits", wait_for_dump),
        ("restore", "Wait for their restoration", wait_for_restore),
    ):
        verb = add(name, summary, run)
        verb.add_argument(
            "repository", metavar="REPOSITORY", type=_parser.uri("repository"),
            help="lakefs://REPOSITORY",
        )  # fmt: skip
        _task(verb, f"the id that {name}_submit returned")


def _task(verb: argparse.ArgumentParser, text: str) -> None:
    verb.add_argument("task", metavar="ID", help=text)
    verb.add_argument(
        "--timeout", metavar="SECONDS", type=_parser.argument(_parser.positive),
        help="fail if the task is still running after SECONDS (default: no limit)",
    )  # fmt: skip
    _parser.add_globals(verb)


def wait_for_import(app: App, options: argparse.Namespace) -> None:
    """Wait until an import has ended."""
    api, (repository, branch) = app.lakefs.import_api, options.branch
    until_done(app, options, lambda: as_dict(api.import_status(repository, branch, options.task)))


def wait_for_dump(app: App, options: argparse.Namespace) -> None:
    """Wait until a dump has ended."""
    api = app.lakefs.repositories_api
    until_done(app, options, lambda: as_dict(api.dump_status(options.repository, options.task)))


def wait_for_restore(app: App, options: argparse.Namespace) -> None:
    """Wait until a restoration has ended."""
    api = app.lakefs.repositories_api
    until_done(app, options, lambda: as_dict(api.restore_status(options.repository, options.task)))


def until_done(app: App, options: argparse.Namespace, ask: Callable[[], dict[str, Any]]) -> None:
    """Ask for the status of a task until it has ended, and write the status.

    Raises:
        CommandError: The task failed, or is still running after the time limit.
    """
    import time

    pause, end = FIRST_PAUSE, None
    if options.timeout:
        end = time.monotonic() + options.timeout
    while True:
        status = ask()
        # The error of an import is an object with a message, that of a task is text.
        error = status.get("error")
        if error:
            text = error.get("message") if isinstance(error, dict) else error
            raise CommandError(f"the {options.verb} {options.task} failed: {text}")
        if status.get("completed") or status.get("done"):
            break
        if end is not None and time.monotonic() >= end:
            raise CommandError(f"the {options.verb} {options.task} is still running")
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    app.out.note(f"the {options.verb} {options.task} is complete")
    app.out.changed(status)
