"""ls: list objects."""

from __future__ import annotations

from lakefs_client.cli import _parser
from lakefs_client.cli._listing import listing
from lakefs_client.cli._output import as_size, as_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from lakefs_client.cli._app import App

COLUMNS = {"kind": 6, "time": 20, "human_size": 9, "path": 0}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ls."""
    parser.add_argument(
        "place", metavar="PATH", type=_parser.uri("prefix"),
        help="lakefs://REPOSITORY/REF[/PREFIX]",
    )  # fmt: skip
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="list what is in folders as well"
    )
    _parser.add_amount(parser)
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> None:
    """List the objects."""
    place = options.place
    found = listing(
        app.lakefs.objects_api.list_objects, place.repository, place.ref,
        amount=options.amount, after=options.after, prefix=place.path or None,
        delimiter=None if options.recursive else "/",
    )  # fmt: skip
    app.out.many(found if app.out.as_json else map(row, found), COLUMNS)


def row(stats: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of an object or a folder."""
    if stats["path_type"] == "common_prefix":
        return {"kind": "prefix", "path": stats["path"]}
    return {
        "kind": "object",
        "time": as_time(stats["mtime"]),
        "human_size": as_size(stats.get("size_bytes", 0)),
        "path": stats["path"],
    }
