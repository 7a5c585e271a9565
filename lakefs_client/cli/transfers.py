"""transfers: uploads that were interrupted and can continue."""

from __future__ import annotations

from lakefs_client.cli import _parser
from lakefs_client.cli._app import as_dict
from lakefs_client.cli._errors import NOT_FOUND, USAGE, CommandError, UsageError
from lakefs_client.cli._output import as_size, as_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from lakefs_client.cli._app import App
    from lakefs_client.transfer import PendingUpload

COLUMNS = {"id": 16, "began": 20, "size": 9, "source": 24, "target": 0}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of transfers."""
    add = _parser.add_verbs(parser)
    verb = add("list", "List the uploads to this server that were interrupted", list_all)
    _parser.add_globals(verb)
    for name, summary, run in (
        ("resume", "Continue interrupted uploads", resume),
        ("discard", "Abort interrupted uploads, and forget them", discard),
    ):
        verb = add(name, summary, run)
        verb.add_argument("ids", metavar="ID", nargs="*", help="upload id, or its beginning")
        verb.add_argument("--all", action="store_true", help=f"{name} all of them")
        _parser.add_globals(verb)


def list_all(app: App, options: argparse.Namespace) -> None:
    """List what can continue."""
    pending = map(_record, app.transfer().pending_uploads())
    app.out.many(pending if app.out.as_json else map(_row, pending), COLUMNS)


def resume(app: App, options: argparse.Namespace) -> None:
    """Continue uploads, one after the other."""
    from lakefs_client.cli._progress import progress

    transfer = app.transfer()
    for pending in _chosen(app, options):
        target = _record(pending)["target"]
        with progress(app, f"upload to {target}") as callback:
            stats = transfer.resume_upload(pending, progress=callback)
        app.out.note(f"uploaded {pending.source} to {target}, {as_size(pending.size)}")
        app.out.changed(as_dict(stats))


def discard(app: App, options: argparse.Namespace) -> None:
    """Abort uploads."""
    transfer = app.transfer()
    for pending in _chosen(app, options):
        transfer.discard_upload(pending)
        app.out.note(f"discarded the upload of {pending.source}")
        app.out.changed({"discarded": pending.upload_id})


def _chosen(app: App, options: argparse.Namespace) -> list[PendingUpload]:
    """Return the uploads that the ids mean."""
    if bool(options.ids) == options.all:
        raise UsageError("expected either ids or --all", "'lakefs-client transfers list' has them.")
    pending = app.transfer().pending_uploads()
    if options.all:
        return pending
    chosen = []
    for text in options.ids:
        found = [upload for upload in pending if upload.upload_id.startswith(text)]
        if len(found) != 1:
            raise CommandError(
                f"{text}: {'several' if found else 'no'} interrupted uploads have this id",
                USAGE if found else NOT_FOUND,
                "'lakefs-client transfers list' lists them.",
            )
        chosen += found
    return chosen


def _record(pending: PendingUpload) -> dict[str, Any]:
    from lakefs_client.uri import ObjectRef

    target = ObjectRef(pending.repository, pending.branch, pending.path)
    return {**pending._asdict(), "target": str(target)}


def _row(record: dict[str, Any]) -> dict[str, Any]:
    return {
        **record,
        "id": record["upload_id"][:16],
        "began": as_time(record["began"]),
        "size": as_size(record["size"]),
    }
