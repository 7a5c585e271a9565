"""The upload of a directory, skipping unchanged files."""

from __future__ import annotations

import os
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from lakefs_client._media_type import guess_content_type
from lakefs_client.exceptions import ApiException, ApiValueError
from lakefs_client.transfer.checksum import file_has_checksum
from lakefs_client.transfer.directory.delete import Surplus, delete_objects
from lakefs_client.transfer.directory.listing import FullListing, RemoteListing, metadata_of
from lakefs_client.transfer.directory.report import DirectoryEntry
from lakefs_client.transfer.directory.walk import FoundFile, walk
from lakefs_client.transfer.errors import failure
from lakefs_client.transfer.local import LocalTree
from lakefs_client.transfer.source import FileSource
from lakefs_client.transfer.store import is_of_store
from lakefs_client.transfer.upload.destination import Destination
from lakefs_client.transfer.upload.file import FileUpload
from lakefs_client.transfer.upload.outcome import WriteRefusedError
from lakefs_client.transfer.upload.preflight import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.transfer.directory.job import DirectoryJob, FileTask
    from lakefs_client.transfer.directory.paths import Filter
    from lakefs_client.transfer.directory.report import DirectoryReport
    from lakefs_client.uri import ObjectRef

PREFLIGHT_WAIT = 5.0
"""Seconds to wait for the answer that the branch accepts writes, before the first upload."""
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass
class DirectoryUpload:
    """The upload of the files of a folder that differ from the objects at their paths.

    Attributes:
        job: The job.
        folder: Path of the folder.
        target: Repository and branch, and as the path the prefix with its slash.
        wanted: The paths to transfer.
        user_metadata: Key-value pairs of every object; None to keep those of unchanged objects.
        follow_symlinks: Follow symbolic links.
        resume: Keep journals of files that are sent in parts.
        delete: Delete the objects that the folder lacks.
    """

    job: DirectoryJob
    folder: str
    target: ObjectRef
    wanted: Filter
    user_metadata: dict[str, str] | None
    follow_symlinks: bool
    resume: bool
    delete: bool

    def run(self) -> DirectoryReport:
        """Upload, and then delete.

        Raises:
            OSError: The folder cannot be read.
            ApiException: lakeFS has no such branch.
            TransferError: The branch rejects writes.
            Exception: As for `DirectoryJob.run`.
        """
        with os.scandir(self.folder):
            pass  # an unreadable folder is reported before any request
        self._surplus = Surplus(self.wanted, len(self.target.path))
        with LocalTree(self.folder) as self._tree:
            report = self.job.run(self._tasks())
        if self.delete:
            delete_objects(self.job, self.target, self._surplus.entries)
        return report

    def _tasks(self) -> Iterator[tuple[str, FileTask | Exception]]:
        context, target = self.job.context, self.target
        accepts = None
        if not self.job.dry_run:
            accepts = refusal(context, target.repository, target.ref)
        listing: FullListing | RemoteListing
        if self.delete:
            listing = FullListing(context, target, self._surplus.add)
        else:
            listing = RemoteListing(context, target)
        if accepts is not None and wait([accepts], PREFLIGHT_WAIT).done:
            reason = accepts.result()
            if reason is not None:
                cause = WriteRefusedError(403, reason)
                raise failure(target, f"{reason}; nothing was sent", "aborted", cause) from cause
        for found in walk(self.folder, follow_symlinks=self.follow_symlinks, links=self.delete):
            if found.link:
                self._surplus.keep_below(found.path)
            # It is not known which files of an unreadable folder would be included.
            elif not self.wanted.excludes(found.path) and (
                found.error or self.wanted.includes(found.path)
            ):
                yield self._task(found, listing)
        listing.finish()

    def _task(
        self, found: FoundFile, listing: FullListing | RemoteListing
    ) -> tuple[str, FileTask | Exception]:
        name = found.path.encode("utf-8", "backslashreplace").decode()
        if found.error is not None:
            return name, found.error
        if name != found.path:
            return name, ApiValueError(f"the name {name!r} is not UTF-8")
        return name, partial(self._transfer, found, listing.find(self.target.path + found.path))

    def _transfer(self, found: FoundFile, stats: ObjectStats | None) -> tuple[DirectoryEntry]:
        job = self.job
        with self._open(found) as file:
            job.found(file.size)
            ref = replace(self.target, path=self.target.path + found.path)
            content_type = guess_content_type(ref.path)
            reason = self._difference(file, stats, content_type)
            if reason is None:
                return job.skipped(found.path, file.size)
            if not job.dry_run:
                client, metadata = job.context.client, self.user_metadata or {}
                destination = Destination(client, ref, content_type, metadata)
                with job.slot(file.size) as context, self._ending():
                    upload = FileUpload(
                        context, file, destination, job.file_progress(), job.cancellation
                    )
                    upload.run(resume=self.resume)
            return (DirectoryEntry(found.path, "transferred", file.size, reason),)

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """End the job if lakeFS does not find the branch, which every other file would share."""
        try:
            yield
        except ApiException as error:
            if error.status == 404 and not is_of_store(error):
                self.job.end(error)
            raise

    def _open(self, found: FoundFile) -> FileSource:
        """Open a file. It may have been exchanged for a symbolic link or a pipe."""
        if self.follow_symlinks:
            return FileSource.opened(os.open(found.location, _READ), found.location)
        head, _, name = found.path.rpartition("/")
        with self._tree.folder(head) as folder:
            return FileSource.opened(folder.open(name, _READ), found.location)

    def _difference(
        self, file: FileSource, stats: ObjectStats | None, content_type: str
    ) -> str | None:
        """Return the reason to upload a file, or None if the object is the same."""
        if stats is None:
            return "new"
        if stats.get("size_bytes") != file.size:
            return "other size"
        if stats.get("content_type", content_type) != content_type:
            return "other content type"
        if self.user_metadata is not None and metadata_of(stats) != self.user_metadata:
            return "other user metadata"
        checksum, part_size = stats.checksum.strip('"'), self.job.context.config.part_size
        if not file_has_checksum(file, checksum, part_size, self.job.cancellation.is_set):
            return "other checksum"
        return None
