"""Copies of folders, and their reports."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lakefs_client.cli import _options, _parser
from lakefs_client.cli._errors import PARTIAL, UsageError, explain
from lakefs_client.cli._output import as_size, as_text, say
from lakefs_client.cli._progress import progress
from lakefs_client.cli._uri import Local
from lakefs_client.uri import ObjectRef

if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App
    from lakefs_client.transfer import DirectoryReport


def copy(app: App, options: argparse.Namespace, **how: Any) -> int:
    """Copy a folder, write the report, and return the exit code."""
    source, target = options.source, options.target
    if getattr(options, "content_type", None):
        raise UsageError("--content-type is for one object: those of a folder are guessed")
    transfer = app.transfer(_options.transfer_config(options))
    how |= {
        "include": options.include, "exclude": options.exclude, "resume": options.resume,
    }  # fmt: skip
    if isinstance(source, Local) and isinstance(target, ObjectRef):
        if os.path.isfile(source.path):
            raise UsageError(f"{source}: is not a folder", "Leave out -r.")
        with progress(app, f"upload to {target}") as callback:
            report = transfer.upload_directory(
                source.path, target.repository, target.ref, target.path,
                user_metadata=_parser.meta(options.meta), progress=callback, **how,
            )  # fmt: skip
    elif isinstance(source, ObjectRef) and isinstance(target, Local):
        if options.meta:
            raise UsageError("--meta is for uploads")
        with progress(app, f"download of {source}") as callback:
            report = transfer.download_directory(
                source.repository, source.ref, source.path, target.path, progress=callback, **how
            )
    else:
        raise UsageError(
            f"{source} and {target}: expected a folder of this machine and a lakefs:// address"
        )
    return finish(app, report)


def finish(app: App, report: DirectoryReport) -> int:
    """Write a report and return the exit code."""
    if app.out.as_json:
        names = ("transferred", "transferred_bytes", "skipped", "skipped_bytes", "failed")
        failures = [{"path": path, "error": explain(error)[1]} for path, error in report.failures]
        app.out.json({**{name: getattr(report, name) for name in names}, "failures": failures})
    else:
        for path, error in report.failures:
            say(f"failed: {as_text(path)}: {explain(error)[1]}")
    app.out.note(
        f"{report.transferred} transferred ({as_size(report.transferred_bytes)}), "
        f"{report.skipped} unchanged ({as_size(report.skipped_bytes)}), {report.failed} failed"
    )
    return PARTIAL if report.failed else 0
