"""hard-reset: move a branch to another commit."""

from __future__ import annotations

from lakefs_client.cli import _parser
from lakefs_client.cli._app import as_dict

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of hard-reset."""
    parser.add_argument(
        "branch", metavar="BRANCH", type=_parser.uri("ref"), help="lakefs://REPOSITORY/BRANCH"
    )
    parser.add_argument(
        "ref", metavar="COMMIT", help="commit id, tag, or expression such as main~1"
    )
    _parser.add_yes(parser)
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> None:
    """Move the branch. Its uncommitted changes, and commits that nothing else has, are lost."""
    from lakefs_client.cli import _uri

    repository, branch = options.branch
    ref = _uri.commit(options.ref, repository)
    # As an id: a repeated main~1 would go back once more.
    commit = app.lakefs.commits_api.get_commit(repository, ref).id
    app.confirm(f"Move {options.branch} to {commit} and discard its changes", yes=options.yes)
    app.lakefs.experimental_api.hard_reset_branch(repository, branch, commit)
    moved = app.lakefs.branches_api.get_branch(repository, branch)
    app.out.one(as_dict(moved), {"id": 24, "commit_id": 0})
