"""rm: delete objects."""

from __future__ import annotations

from lakefs_client.cli import _parser
from lakefs_client.cli._errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of rm."""
    parser.add_argument(
        "place", metavar="PATH", type=_parser.uri("prefix"), help="lakefs://REPOSITORY/BRANCH/PATH"
    )
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> None:
    """Delete an object, as an uncommitted change."""
    place = options.place
    if not place.path:
        raise UsageError(f"{place}: names no object")
    objects = app.lakefs.objects_api
    # lakeFS deletes what does not exist without an error, which would hide a mistyped path.
    objects.head_object(place.repository, place.ref, place.path)
    objects.delete_object(place.repository, place.ref, place.path)
    app.out.note(f"deleted {place}")
    app.out.changed({"deleted": place.path})
