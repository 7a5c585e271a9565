"""cherry-pick: repeat a commit on a branch."""

from __future__ import annotations

from lakefs_client.cli import _parser
from lakefs_client.cli._app import as_dict
from lakefs_client.cli._errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from lakefs_client.cli._app import App


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of cherry-pick."""
    parser.add_argument(
        "commit", metavar="COMMIT", type=_parser.uri("ref"), help="lakefs://REPOSITORY/COMMIT"
    )
    parser.add_argument(
        "branch", metavar="BRANCH", type=_parser.uri("ref"),
        help="lakefs://REPOSITORY/BRANCH that receives its changes",
    )  # fmt: skip
    _parser.add_parent(parser)
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> None:
    """Repeat the commit, and print the id of the new one."""
    source, branch = options.commit, options.branch
    if source.repository != branch.repository:
        raise UsageError(f"{source} and {branch}: are in two repositories")
    creation: dict[str, Any] = {"ref": source.name}
    if options.parent_number:
        creation["parent_number"] = options.parent_number
    commit = app.lakefs.branches_api.cherry_pick(branch.repository, branch.name, creation)
    app.out.one(as_dict(commit), {"id": 0})
