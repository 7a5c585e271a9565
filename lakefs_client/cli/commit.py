"""commit: commit the changes of a branch."""

from __future__ import annotations

from lakefs_client.cli import _commits, _parser
from lakefs_client.cli._errors import UsageError
from lakefs_client.exceptions import NothingToCommitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of commit."""
    parser.add_argument(
        "branch", metavar="BRANCH", type=_parser.uri("ref"),
        help="lakefs://REPOSITORY/BRANCH",
    )  # fmt: skip
    parser.add_argument("-m", "--message", metavar="TEXT", help="the commit's message")
    parser.add_argument("--allow-empty-message", action="store_true", help="need no message")
    parser.add_argument(
        "--allow-empty-commit", action="store_true", help="commit even if nothing has changed"
    )
    parser.add_argument(
        "--if-changed", action="store_true", help="succeed without a commit if nothing has changed"
    )
    _parser.add_meta(parser, "the commit")
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> None:
    """Commit the changes."""
    if not options.message and not options.allow_empty_message:
        raise UsageError("a commit needs a message", "Give -m TEXT, or --allow-empty-message.")
    if options.if_changed and options.allow_empty_commit:
        raise UsageError("--if-changed and --allow-empty-commit exclude each other")
    repository, branch = options.branch
    creation = {
        "message": options.message or "",
        "metadata": _parser.meta(options.meta),
        "allow_empty": options.allow_empty_commit,
    }
    try:
        commit = app.lakefs.commits_api.commit(repository, branch, creation)
    except NothingToCommitError:
        if not options.if_changed:
            raise
        app.out.note(f"{options.branch}: nothing to commit")
        app.out.changed({"id": None})
        return
    _commits.write(app, commit)
