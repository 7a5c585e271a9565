"""stat: show an object."""

from __future__ import annotations

from lakefs_client.cli import _parser
from lakefs_client.cli._app import as_dict
from lakefs_client.cli._output import as_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App

FIELDS = {
    "path": "Path",
    "size_bytes": "Size",
    "mtime": "Modified",
    "checksum": "Checksum",
    "content_type": "Content-Type",
    "physical_address": "Physical address",
    "metadata": "Metadata",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of stat."""
    parser.add_argument(
        "place", metavar="OBJECT", type=_parser.uri("object_path"),
        help="lakefs://REPOSITORY/REF/PATH",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> None:
    """Show the object."""
    place = options.place
    record = as_dict(app.lakefs.objects_api.stat_object(place.repository, place.ref, place.path))
    if not app.out.as_json:
        record["mtime"] = as_time(record["mtime"])
        if not record.get("metadata"):
            record.pop("metadata", None)
    app.out.fields(record, FIELDS)
