"""Copies of one object: upload, download, copy on the server, and to stdout."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from lakefs_client.cli import _options, _parser
from lakefs_client.cli._app import as_dict
from lakefs_client.cli._errors import UsageError
from lakefs_client.cli._output import as_size
from lakefs_client.cli._progress import progress
from lakefs_client.cli._uri import Local, Stream
from lakefs_client.uri import ObjectRef

if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App
    from lakefs_client.model.object_stats import ObjectStats

WINDOW = 1 << 20
"""Bytes that are read and written at a time."""


def copy(app: App, options: argparse.Namespace) -> None:
    """Copy one object between any two places.

    Raises:
        UsageError: The two places do not go together.
    """
    source, target = options.source, options.target
    if options.include or options.exclude:
        raise UsageError("--include and --exclude are for copies with -r")
    if not isinstance(source, ObjectRef):
        if not isinstance(target, ObjectRef):
            raise UsageError(
                f"{source} and {target}: both are on this machine",
                "One of them must be lakefs://REPOSITORY/REF/PATH.",
            )
        if isinstance(source, Stream):
            _upload_stream(app, options, target)
        else:
            _upload(app, options, source.path, target)
        return
    if not source.path or source.path.endswith("/"):
        raise UsageError(f"{source}: is not the address of an object", "Give -r to copy a folder.")
    if options.meta or options.content_type:
        raise UsageError("--meta and --content-type are for uploads")
    if isinstance(target, Stream):
        to_stdout(app, source)
    elif isinstance(target, Local):
        _download(app, options, source, target.path)
    else:
        _copy_on_server(app, source, target)


def to_stdout(app: App, source: ObjectRef) -> None:
    """Write an object's bytes to stdout."""
    with app.transfer().open(source.repository, source.ref, source.path) as reader:
        while window := reader.read(WINDOW):
            app.out.data(window)


def same_repository(source: ObjectRef, target: ObjectRef) -> None:
    """Raise UsageError if the server cannot copy from one to the other."""
    if source.repository != target.repository:
        raise UsageError(
            f"{source} and {target}: lakeFS copies within one repository only",
            "Download it, then upload it.",
        )


def _upload(app: App, options: argparse.Namespace, source: str, target: ObjectRef) -> None:
    if os.path.isdir(source):
        raise UsageError(f"{source}: is a folder", "Give -r to copy it.")
    target = _in_folder(target, os.path.basename(source))
    with progress(app, f"upload to {target}") as callback:
        stats = app.transfer(_options.transfer_config(options)).upload_file(
            source, target.repository, target.ref, target.path,
            content_type=options.content_type, user_metadata=_parser.meta(options.meta),
            progress=callback, resume=options.resume,
        )  # fmt: skip
    _done(app, stats, f"uploaded {source} to {target}")


def _upload_stream(app: App, options: argparse.Namespace, target: ObjectRef) -> None:
    if not target.path or target.path.endswith("/"):
        raise UsageError(f"{target}: stdin has no name to add", "Give the whole path.")
    if options.resume:
        raise UsageError("--resume is not for stdin, which cannot be read again")
    if sys.stdin is None:
        raise UsageError("stdin is closed")
    with progress(app, f"upload to {target}") as callback:
        stats = app.transfer(_options.transfer_config(options)).upload_fileobj(
            sys.stdin.buffer, target.repository, target.ref, target.path,
            content_type=options.content_type, user_metadata=_parser.meta(options.meta),
            progress=callback,
        )  # fmt: skip
    _done(app, stats, f"uploaded stdin to {target}")


def _download(app: App, options: argparse.Namespace, source: ObjectRef, target: str) -> None:
    if os.path.isdir(target) or target.endswith(("/", os.sep)):
        target = os.path.join(target, source.path.rpartition("/")[2])
    with progress(app, f"download of {source}") as callback:
        stats = app.transfer(_options.transfer_config(options)).download_file(
            source.repository, source.ref, source.path, target,
            progress=callback, resume=options.resume,
        )  # fmt: skip
    _done(app, stats, f"downloaded {source} to {target}")


def _copy_on_server(app: App, source: ObjectRef, target: ObjectRef) -> None:
    same_repository(source, target)
    target = _in_folder(target, source.path.rpartition("/")[2])
    stats = app.lakefs.objects_api.copy_object(
        target.repository, target.ref, target.path,
        {"src_path": source.path, "src_ref": source.ref},
    )  # fmt: skip
    _done(app, stats, f"copied {source} to {target}")


def _in_folder(target: ObjectRef, name: str) -> ObjectRef:
    """Add a name to the address of a folder."""
    if target.path and not target.path.endswith("/"):
        return target
    return ObjectRef(target.repository, target.ref, target.path + name)


def _done(app: App, stats: ObjectStats, text: str) -> None:
    app.out.note(f"{text}, {as_size(stats.get('size_bytes', 0))}")
    record: dict[str, Any] = as_dict(stats)
    app.out.changed(record)
