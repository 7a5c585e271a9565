"""The upload and the download of a directory, skipping unchanged files."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from lakefs_client._media_type import guess_content_type
from lakefs_client._paginate import paginate
from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.exceptions import ApiValueError
from lakefs_client.transfer.checksum import file_has_checksum
from lakefs_client.transfer.directory.listing import RemoteListing
from lakefs_client.transfer.directory.paths import path_below
from lakefs_client.transfer.directory.walk import Entry, walk
from lakefs_client.transfer.download.file import download
from lakefs_client.transfer.source import FileSource
from lakefs_client.transfer.upload.destination import Destination
from lakefs_client.transfer.upload.file import FileUpload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.transfer.directory.job import DirectoryJob, FileTask
    from lakefs_client.transfer.directory.paths import Filter
    from lakefs_client.transfer.directory.report import DirectoryReport
    from lakefs_client.uri import ObjectRef


def upload_directory(
    job: DirectoryJob,
    folder: str,
    target: ObjectRef,
    wanted: Filter,
    user_metadata: dict[str, str],
    *,
    follow_symlinks: bool,
    resume: bool,
) -> DirectoryReport:
    """Upload the files of a folder that differ from the objects at their paths.

    The path of `target` is the prefix, with its slash.

    Raises:
        OSError: The folder cannot be read.
        ApiException: lakeFS has no such branch.
        Exception: As for `DirectoryJob.run`.
    """
    with os.scandir(folder):
        pass  # an unreadable folder is reported before any request
    client = job.context.client

    def transfer(entry: Entry, stats: ObjectStats | None) -> tuple[bool, int]:
        with FileSource(entry.location) as file:
            if stats is not None and _is_unchanged(file, stats, job):
                return False, file.size
            ref = replace(target, path=target.path + entry.path)
            destination = Destination(client, ref, guess_content_type(ref.path), user_metadata)
            with job.slot(file.size):
                upload = FileUpload(
                    job.context, file, destination, job.file_progress(), job.cancellation
                )
                upload.run(resume=resume)
            return True, file.size

    def tasks() -> Iterator[tuple[str, FileTask | Exception]]:
        listing = RemoteListing(client, target)
        for entry in entries:
            # It is not known which files of an unreadable folder would be included.
            if wanted.excludes(entry.path) or not (entry.error or wanted.includes(entry.path)):
                continue
            name = entry.path.encode("utf-8", "backslashreplace").decode()
            if entry.error is not None:
                yield name, entry.error
            elif name != entry.path:
                yield name, ApiValueError(f"the name {name!r} is not UTF-8")
            else:
                yield name, partial(transfer, entry, listing.find(target.path + entry.path))

    entries = walk(folder, follow_symlinks=follow_symlinks)
    return job.run(tasks())


def download_directory(
    job: DirectoryJob, source: ObjectRef, folder: str, wanted: Filter, *, resume: bool
) -> DirectoryReport:
    """Download the objects below a prefix that differ from the files at their places.

    The path of `source` is the prefix, with its slash. The folder is made if it does not exist.

    Raises:
        OSError: The folder cannot be made.
        ApiException: lakeFS has no such ref.
        Exception: As for `DirectoryJob.run`.
    """
    os.makedirs(folder, exist_ok=True)
    root = os.path.realpath(folder)

    def transfer(stats: ObjectStats, path: str) -> tuple[bool, int]:
        size = stats.get("size_bytes", 0)
        place = path_below(root, path.removesuffix("/"))
        if path.endswith("/"):
            if size:
                raise ApiValueError(f"{stats.path!r} has bytes, and the name of a folder")
            exists = os.path.isdir(place)
            os.makedirs(place, exist_ok=True)
            return not exists, 0
        if os.path.isfile(place):
            with FileSource(place) as file:
                if _is_unchanged(file, stats, job):
                    return False, size
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with job.slot(size):
            download(
                job.context,
                replace(source, path=stats.path),
                place,
                job.file_progress(),
                resume=resume,
                cancellation=job.cancellation,
            )
        return True, size

    def tasks() -> Iterator[tuple[str, FileTask | Exception]]:
        objects = ObjectsApi(job.context.client)
        for stats in paginate(
            objects.list_objects, source.repository, source.ref, prefix=source.path, amount=1000
        ):
            path = stats.path.removeprefix(source.path)
            if path and wanted.includes(path) and not wanted.excludes(path):
                yield path, partial(transfer, stats, path)

    return job.run(tasks())


def _is_unchanged(file: FileSource, stats: ObjectStats, job: DirectoryJob) -> bool:
    """Return True if an object has a file's bytes, as far as its size and checksum tell."""
    checksum, part_size = stats.checksum.strip('"'), job.context.config.part_size
    same_size = stats.get("size_bytes") == file.size
    return same_size and file_has_checksum(file, checksum, part_size, job.cancellation.is_set)
