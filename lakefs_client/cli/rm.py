"""rm: delete objects."""

from __future__ import annotations

from lakefs_client.cli import _options, _parser
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
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="delete everything below the path"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="list what would be deleted, and change nothing"
    )
    _options.add_patterns(parser)
    _parser.add_yes(parser)
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> int:
    """Delete an object, or what is below a path. Earlier commits keep it."""
    place = options.place
    if options.recursive:
        from lakefs_client.cli import _folders

        if not place.path and not options.dry_run:
            app.confirm(f"Delete all objects of {place}", yes=options.yes)
        return _folders.delete(app, options)
    if options.include or options.exclude:
        raise UsageError("--include and --exclude are for deletions with -r")
    if not place.path:
        raise UsageError(f"{place}: is not the address of an object", "Give -r to delete a folder.")
    objects = app.lakefs.objects_api
    # lakeFS deletes what does not exist without an error, which would hide a mistyped path.
    objects.head_object(place.repository, place.ref, place.path)
    if options.dry_run:
        app.out.one({"action": "deleted", "path": place.path}, {"action": 11, "path": 0})
        return 0
    objects.delete_object(place.repository, place.ref, place.path)
    app.out.note(f"deleted {place}")
    app.out.changed({"deleted": place.path})
    return 0
