"""presign: print a presigned URL."""

from __future__ import annotations

from lakefs_client.cli import _parser
from lakefs_client.cli._errors import CommandError
from lakefs_client.cli._output import as_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of presign."""
    parser.add_argument(
        "place", metavar="OBJECT", type=_parser.uri("object_path"),
        help="lakefs://REPOSITORY/REF/PATH",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> None:
    """Print a URL that anybody can download the object from until it expires."""
    place = options.place
    stats = app.lakefs.objects_api.stat_object(
        place.repository, place.ref, place.path, presign=True
    )
    url, expiry = stats.physical_address, stats.get("physical_address_expiry")
    if not url.startswith(("http://", "https://")):
        raise CommandError(
            "this server has no presigned URLs", hint="'lakefs-client cat' reads the object."
        )
    record = {"url": url}
    if expiry:
        record["expires"] = as_time(expiry)
        app.out.note(f"The URL is a secret, and expires at {record['expires']}.")
    app.out.one(record, {"url": 0})
