"""transact: run a command whose changes reach a branch all together, or not at all."""

from __future__ import annotations

from lakefs_client.cli import _parser
from lakefs_client.cli._errors import NOT_FOUND, CommandError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    import subprocess

    from lakefs_client.cli._app import App

EXAMPLES = """\
examples:
  lakefs-client transact lakefs://repo/main -m "nightly" -- python etl.py
  lakefs-client transact lakefs://repo/main -m "images" -- \\
      sh -c 'lakefs-client cp -r images "$LAKEFS_CLIENT_URI/images"'
"""
BRANCH_VARIABLE, URI_VARIABLE = "LAKEFS_CLIENT_BRANCH", "LAKEFS_CLIENT_URI"
GRACE = 5.0
"""Seconds that an interrupted command has to end. CI systems kill everything after ten."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of transact."""
    parser.usage = f"{parser.prog} [options] -m TEXT BRANCH -- COMMAND [ARGUMENT ...]"
    parser.add_argument(
        "branch", metavar="BRANCH", type=_parser.uri("ref"),
        help="lakefs://REPOSITORY/BRANCH that receives the changes",
    )  # fmt: skip
    parser.add_argument(
        "-m", "--message", metavar="TEXT", required=True, help="message of the commit and the merge"
    )
    _parser.add_meta(parser, "the commit and the merge")
    parser.add_argument(
        "--on-error", choices=("delete", "keep"), default="delete",
        help="the fate of the temporary branch if the command fails (default: %(default)s)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def parse(parser: argparse.ArgumentParser, options: argparse.Namespace) -> argparse.Namespace:
    """Parse the arguments. The words after the first ``--`` are the command."""
    words = options.words
    end = words.index("--") if "--" in words else len(words)
    parsed = parser.parse_args(words[:end], options)
    parsed.command = words[end + 1 :]
    if not parsed.command:
        parser.error("expected a command after --")
    return parsed


class _CommandFailed(Exception):
    """Rolls the transaction back."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the command exited with {code}")
        self.code = code


def run(app: App, options: argparse.Namespace) -> int:
    """Run the command on a temporary branch, and merge the branch if the command succeeds."""
    import shutil

    from lakefs_client.transactions import transaction

    program, *words = options.command
    found = shutil.which(program)
    if found is None:
        raise CommandError(f"{program}: command not found", NOT_FOUND)
    repository, base = options.branch
    pending = transaction(
        app.client, repository, base, message=options.message,
        metadata=_parser.meta(options.meta), on_error=options.on_error,
    )  # fmt: skip
    try:
        with pending as tx:
            code = _run([found, *words], repository, tx.branch)
            if code:
                raise _CommandFailed(code)
    except _CommandFailed as failure:
        fate = "kept" if options.on_error == "keep" else "deleted"
        app.fail(
            f"{program} exited with {failure.code}: {options.branch} is unchanged",
            f"The temporary branch {pending.branch} was {fate}.",
            failure.code,
        )
        return failure.code
    result = pending.result
    commit, merge = (result.commit_id, result.merge_commit_id) if result else (None, None)
    if commit is None:
        app.out.note(f"{options.branch}: nothing has changed")
    else:
        app.out.note(f"{options.branch}: merged as {merge or commit}")
    app.out.changed({"commit_id": commit, "merge_commit_id": merge})
    return 0


def _run(command: list[str], repository: str, branch: str) -> int:
    """Run a command that finds the branch in its environment, and return its exit code."""
    import os
    import subprocess

    from lakefs_client.uri import Address

    variables = {BRANCH_VARIABLE: branch, URI_VARIABLE: str(Address(repository, branch))}
    try:
        process = subprocess.Popen(command, env={**os.environ, **variables})
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
    import signal
    import subprocess
    import sys

    try:
        if number == signal.SIGINT and sys.stdin is not None and sys.stdin.isatty():
            process.wait(GRACE / 2)
        else:
            process.send_signal(number or signal.SIGTERM)
            process.wait(GRACE)
    except (subprocess.TimeoutExpired, ValueError):
        process.kill()
        process.wait()
