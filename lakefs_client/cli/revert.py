"""revert: undo commits by new ones."""

from __future__ import annotations

from lakefs_client.cli import _parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of revert."""
    parser.add_argument(
        "branch", metavar="BRANCH", type=_parser.uri("ref"), help="lakefs://REPOSITORY/BRANCH"
    )
    parser.add_argument(
        "refs", metavar="COMMIT", nargs="+", help="commit id, tag, or expression such as main~1"
    )
    _parser.add_parent(parser)
    parser.add_argument(
        "--allow-empty-commit", action="store_true", help="commit even if that changes nothing"
    )
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> None:
    """Revert the commits in the given order, and print the id of the branch's last commit."""
    from lakefs_client.cli import _uri

    repository, branch = options.branch
    branches = app.lakefs.branches_api
    commits = app.lakefs.commits_api
    # An expression such as main~1 means another commit once the first one is reverted.
    refs = [_uri.commit(text, repository) for text in options.refs]
    ids = [commits.get_commit(repository, ref).id for ref in refs]
    for commit in ids:
        creation = {
            "ref": commit,
            "parent_number": options.parent_number,
            "allow_empty": options.allow_empty_commit,
        }
        branches.revert_branch(repository, branch, creation)
    head = branches.get_branch(repository, branch).commit_id
    app.out.one({"id": head, "reverted": ids}, {"id": 0})
