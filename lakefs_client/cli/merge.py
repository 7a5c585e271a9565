"""merge: merge a ref into a branch."""

from __future__ import annotations

from lakefs_client.cli import _parser
from lakefs_client.cli._app import as_dict
from lakefs_client.cli._errors import UsageError
from lakefs_client.exceptions import MergeConflictError, NothingToCommitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from lakefs_client.cli._app import App


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of merge."""
    ref = _parser.uri("ref")
    parser.add_argument(
        "source", metavar="SOURCE", type=ref, help="lakefs://REPOSITORY/REF to merge"
    )
    parser.add_argument(
        "target", metavar="TARGET", type=ref, help="lakefs://REPOSITORY/BRANCH that receives it"
    )
    parser.add_argument("-m", "--message", metavar="TEXT", help="the merge's message")
    parser.add_argument(
        "--strategy", choices=("source-wins", "dest-wins"),
        help="which side prevails where both changed an object",
    )  # fmt: skip
    parser.add_argument(
        "--force", action="store_true", help="merge even into a read-only repository"
    )
    parser.add_argument(
        "--allow-empty", action="store_true", help="merge even if the refs do not differ"
    )
    parser.add_argument(
        "--squash", action="store_true", help="leave the source out of the commit's parents"
    )
    parser.add_argument(
        "--if-changed", action="store_true", help="succeed without a merge if nothing has changed"
    )
    _parser.add_meta(parser, "the merge")
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> None:
    """Merge the source into the target."""
    source, target = options.source, options.target
    if source.repository != target.repository:
        raise UsageError(f"{source} and {target}: are of two repositories")
    merge: dict[str, Any] = {
        "metadata": _parser.meta(options.meta),
        "force": options.force,
        "allow_empty": options.allow_empty,
        "squash_merge": options.squash,
    }
    for name in ("message", "strategy"):
        if getattr(options, name):
            merge[name] = getattr(options, name)
    try:
        result = app.lakefs.refs_api.merge_into_branch(
            target.repository, source.name, target.name, merge=merge
        )
    except NothingToCommitError:
        if not options.if_changed:
            raise
        app.out.note(f"{target}: has all of {source} already")
        app.out.changed({"reference": None})
        return
    except MergeConflictError as error:
        error.hint = "--strategy source-wins or dest-wins decides for one side."
        raise
    app.out.one(as_dict(result), {"reference": 0})
