"""log: list commits."""

from __future__ import annotations

from lakefs_client.cli import _parser
from lakefs_client.cli._listing import listing
from lakefs_client.cli._output import as_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import Any

    from lakefs_client.cli._app import App

COLUMNS = {
    "short_id": 16,
    "time": 20,
    "committer": 12,
    "message": 0,
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of log."""
    parser.add_argument(
        "ref", metavar="REF", type=_parser.uri("ref"), help="lakefs://REPOSITORY/REF"
    )
    _parser.add_amount(parser)
    parser.add_argument(
        "--since", metavar="TIME", type=_parser.argument(_parser.time),
        help="list commits made since TIME, such as 2026-11-27T12:00:00Z",
    )  # fmt: skip
    parser.add_argument("--stop-at", metavar="REF", help="list no commit after this one")
    parser.add_argument(
        "--first-parent", action="store_true", help="follow only the first parent of a merge"
    )
    parser.add_argument("--no-merges", action="store_true", help="leave out merges")
    for name, what in (("objects", "this object"), ("prefixes", "objects below this path")):
        parser.add_argument(
            f"--{name}", metavar="PATH", action="append",
            help=f"list commits that changed {what}; may be repeated",
        )  # fmt: skip
    parser.add_argument(
        "--limit", action="store_true",
        help="with --objects or --prefixes: bound the commits that the server looks at",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> None:
    """List the commits."""
    repository, ref = options.ref
    found: Iterator[dict[str, Any]] = listing(
        app.lakefs.refs_api.log_commits, repository, ref,
        amount=None if options.no_merges else options.amount, after=options.after,
        since=options.since, stop_at=options.stop_at, objects=options.objects,
        prefixes=options.prefixes, limit=options.limit or None,
        first_parent=options.first_parent or None,
    )  # fmt: skip
    if options.no_merges:
        from itertools import islice

        found = islice((c for c in found if len(c["parents"]) < 2), options.amount)
    app.out.many(found if app.out.as_json else map(row, found), COLUMNS)


def row(commit: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a commit."""
    return {
        "short_id": commit["id"][:16],
        "time": as_time(commit["creation_date"]),
        "committer": commit["committer"],
        "message": commit["message"].partition("\n")[0],
    }
