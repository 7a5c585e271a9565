"""Copies and deletions of folders, and their reports."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lakefs_client.cli import _copy, _options, _parser
from lakefs_client.cli._errors import NOT_FOUND, PARTIAL, CommandError, UsageError, explain
from lakefs_client.cli._output import as_size, as_text, say
from lakefs_client.cli._progress import progress
from lakefs_client.cli._uri import Local
from lakefs_client.uri import ObjectRef

if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App
    from lakefs_client.transfer import DirectoryReport

_COUNTS = ("transferred", "skipped", "deleted")
_WORDS = {"skipped": "unchanged"}
_COLUMNS = {"action": 11, "human_size": 9, "path": 36, "reason": 0}


def copy(app: App, options: argparse.Namespace, **how: bool) -> int:
    """Copy a folder, write the report, and return the exit code.

    Args:
        app: The run of the program.
        options: Its parsed arguments.
        how: ``delete`` and ``dry_run`` of the methods of `Transfer`.
    """
    source, target = options.source, options.target
    if isinstance(source, Local) and isinstance(target, ObjectRef):
        report = _upload(app, options, source.path, target, how)
    elif not isinstance(source, ObjectRef) or not isinstance(target, (ObjectRef, Local)):
        raise UsageError(
            f"{source} and {target}: expected two folders, at least one of them lakefs://"
        )
    elif options.meta:
        raise UsageError("--meta is for uploads")
    elif isinstance(target, Local):
        report = _download(app, options, source, target.path, how)
    else:
        report = _copy_on_server(app, options, source, target, how)
    return finish(app, report, dry_run=how.get("dry_run", False))


def _upload(
    app: App, options: argparse.Namespace, source: str, target: ObjectRef, how: dict[str, Any]
) -> DirectoryReport:
    if os.path.isfile(source):
        raise UsageError(f"{source}: is not a folder")
    transfer = app.transfer(_options.transfer_config(options))
    with progress(app, f"upload to {target}") as callback:
        return transfer.upload_directory(
            source, target.repository, target.ref, target.path,
            user_metadata=_parser.meta(options.meta) or None, progress=callback,
            resume=options.resume, **_patterns(options), **how,
        )  # fmt: skip


def _download(
    app: App, options: argparse.Namespace, source: ObjectRef, target: str, how: dict[str, Any]
) -> DirectoryReport:
    require_objects(app, source)
    transfer = app.transfer(_options.transfer_config(options))
    with progress(app, f"download of {source}") as callback:
        return transfer.download_directory(
            source.repository, source.ref, source.path, target, progress=callback,
            resume=options.resume, **_patterns(options), **how,
        )  # fmt: skip


def _copy_on_server(
    app: App,
    options: argparse.Namespace,
    source: ObjectRef,
    target: ObjectRef,
    how: dict[str, Any],
) -> DirectoryReport:
    _copy.same_repository(source, target)
    if options.resume:
        raise UsageError("--resume is for uploads and downloads: repeat the command instead")
    require_objects(app, source)
    transfer = app.transfer(_options.transfer_config(options))
    with progress(app, f"copy to {target}") as callback:
        return transfer.copy_directory(
            source.repository, source.ref, source.path, target.ref, target.path,
            progress=callback, **_patterns(options), **how,
        )  # fmt: skip


def delete(app: App, options: argparse.Namespace) -> int:
    """Delete what is below a path, write the report, and return the exit code."""
    place = options.place
    require_objects(app, place)
    report = app.transfer().delete_directory(
        place.repository, place.ref, place.path, dry_run=options.dry_run, **_patterns(options)
    )
    return finish(app, report, dry_run=options.dry_run)


def _patterns(options: argparse.Namespace) -> dict[str, Any]:
    return {"include": options.include, "exclude": options.exclude}


def require_objects(app: App, place: ObjectRef) -> None:
    """Raise CommandError if there is nothing below a path.

    A mistyped source must not look like success, nor empty the target of a sync.
    """
    prefix = place.path if place.path.endswith("/") or not place.path else f"{place.path}/"
    page = app.lakefs.objects_api.list_objects(place.repository, place.ref, prefix=prefix, amount=1)
    if not page.results:
        raise CommandError(f"{place}: there are no objects below this path", NOT_FOUND)


def finish(app: App, report: DirectoryReport, *, dry_run: bool) -> int:
    """Write a report and return the exit code."""
    if dry_run:
        _write_entries(app, report)
    elif app.out.as_json:
        names = [name for count in _COUNTS for name in (count, f"{count}_bytes")]
        failures = [{"path": path, "error": explain(error)[1]} for path, error in report.failures]
        record = {name: getattr(report, name) for name in (*names, "kept", "failed")}
        app.out.json({**record, "failures": failures})
    if not app.out.as_json:
        for path, error in report.failures:
            say(f"failed: {as_text(path)}: {as_text(explain(error)[1])}")
    parts = [
        f"{getattr(report, name)} {_WORDS.get(name, name)} "
        f"({as_size(getattr(report, f'{name}_bytes'))})"
        for name in _COUNTS
        if getattr(report, name)
    ]
    if report.kept:
        parts.append(f"{report.kept} not deleted, since others failed")
    if report.failed:
        parts.append(f"{report.failed} failed")
    app.out.note(("dry run: " if dry_run else "") + (", ".join(parts) or "nothing to do"))
    return PARTIAL if report.failed else 0


def _write_entries(app: App, report: DirectoryReport) -> None:
    """Write what a dry run found: a line each, without what is unchanged unless as JSON."""
    for entry in report:
        record = entry._asdict()
        if app.out.as_json:
            app.out.json(record)
        elif entry.action != "skipped":
            app.out.one({**record, "human_size": as_size(entry.size)}, _COLUMNS)
