"""Whole folders, transferred by `Transfer.upload_directory` and `download_directory`.

They list a folder once where single files would be asked for one by one.
"""

from __future__ import annotations

import os
from glob import has_magic
from typing import TYPE_CHECKING, Any

from lakefs_client.exceptions import ApiException
from lakefs_client.fs._fsspec import DEFAULT_CALLBACK, LocalFileSystem, trailing_sep
from lakefs_client.fs.errors import os_error, os_errors
from lakefs_client.fs.location import pair, parse

if TYPE_CHECKING:
    from lakefs_client.fs.tree import Tree
    from lakefs_client.transfer import DirectoryReport


def is_folder_transfer(
    source: Any, recursive: bool, maxdepth: int | None, callback: Any, options: dict[str, Any]
) -> bool:
    """Return True if `source` is one path whose whole content is meant.

    A callback counts files, which the functions of this module do not report one by one.
    """
    return (
        recursive
        and maxdepth is None
        and isinstance(source, (str, os.PathLike))
        and not has_magic(os.fspath(source))
        and callback in (None, DEFAULT_CALLBACK)
        and options.keys() <= {"metadata"}
    )


def put_folder(fs: Tree, source: str, target: str, metadata: dict[str, str] | None = None) -> None:
    """Upload a folder, skipping unchanged files."""
    name = fs._strip_protocol(target)
    inside = trailing_sep(target) or fs.isdir(name)
    ((_, name),) = pair(source, [source.rstrip("/")], name, target_is_folder=inside)
    place = parse(name)
    fs.require_branch(place)
    try:
        with os_errors(name):
            report = fs.engine.upload_directory(
                source, *place, follow_symlinks=True, user_metadata=metadata
            )
    finally:
        fs.invalidate_cache(name)
    _raise_first_failure(report, name)


def get_folder(fs: Tree, source: str, target: str) -> None:
    """Download a folder, skipping unchanged files."""
    name = fs._strip_protocol(source)
    inside = trailing_sep(target) or LocalFileSystem().isdir(target)
    ((_, folder),) = pair(source, [name], target, target_is_folder=inside)
    with os_errors(name):
        report = fs.engine.download_directory(*parse(name), folder)
    _raise_first_failure(report, name)


def _raise_first_failure(report: DirectoryReport, name: str) -> None:
    if not report.failures:
        return
    path, error = report.failures[0]
    if isinstance(error, ApiException):
        raise os_error(error, f"{name}/{path}")
    raise error
