"""The copy of a directory within a repository; the server copies the bytes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.exceptions import ApiValueError
from lakefs_client.model.object_copy_creation import ObjectCopyCreation
from lakefs_client.transfer.directory.delete import Surplus, delete_objects
from lakefs_client.transfer.directory.listing import (
    FullListing,
    RemoteListing,
    list_objects,
    metadata_of,
)
from lakefs_client.transfer.directory.report import DirectoryEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.transfer.directory.job import DirectoryJob, FileTask
    from lakefs_client.transfer.directory.paths import Filter
    from lakefs_client.transfer.directory.report import DirectoryReport
    from lakefs_client.uri import ObjectRef


def require_apart(source: ObjectRef, target: ObjectRef) -> None:
    """Check that neither of two prefixes of one branch contains the other.

    Raises:
        ApiValueError: One contains the other, so that copies would be copied again.
    """
    nested = source.path.startswith(target.path) or target.path.startswith(source.path)
    if source.ref == target.ref and nested:
        raise ApiValueError(
            f"prefixes within each other: got {source.path!r} and {target.path!r} on the branch "
            f"{target.ref!r}, expected prefixes that do not contain each other"
        )


@dataclass
class DirectoryCopy:
    """The copy of the objects below a prefix that differ from the objects at their new paths.

    Attributes:
        job: The job.
        source: Repository and ref, and as the path the prefix with its slash.
        target: The same repository, a branch, and the prefix of the copies with its slash.
        wanted: The paths to copy.
        delete: Delete the objects below the new prefix that the source lacks.
    """

    job: DirectoryJob
    source: ObjectRef
    target: ObjectRef
    wanted: Filter
    delete: bool

    def run(self) -> DirectoryReport:
        """Copy, and then delete.

        Raises:
            ApiException: lakeFS has no such ref or branch.
            Exception: As for `DirectoryJob.run`.
        """
        self._objects = ObjectsApi(self.job.context.client)
        self._surplus = Surplus(self.wanted, len(self.target.path))
        report = self.job.run(self._tasks())
        if self.delete:
            delete_objects(self.job, self.target, self._surplus.entries)
        return report

    def _tasks(self) -> Iterator[tuple[str, FileTask | Exception]]:
        context = self.job.context
        existing: FullListing | RemoteListing
        if self.delete:
            existing = FullListing(context, self.target, self._surplus.add)
        else:
            existing = RemoteListing(context, self.target)
        for listed in list_objects(context, self.source):
            path = listed.stats.path[len(self.source.path) :]
            if path and self.wanted.includes(path) and not self.wanted.excludes(path):
                self.job.found(listed.stats.get("size_bytes", 0))
                found = existing.find(self.target.path + path)
                yield path, partial(self._copy, path, listed.stats, found)
        existing.finish()

    def _copy(
        self, path: str, stats: ObjectStats, existing: ObjectStats | None
    ) -> tuple[DirectoryEntry]:
        job, size = self.job, stats.get("size_bytes", 0)
        reason = _difference(stats, existing)
        if reason is None:
            return job.skipped(path, size)
        if not job.dry_run:
            creation = ObjectCopyCreation(stats.path, src_ref=self.source.ref)
            target = self.target
            self._objects.copy_object(target.repository, target.ref, target.path + path, creation)
            job.file_progress().add(size)
        return (DirectoryEntry(path, "transferred", size, reason),)


def _difference(stats: ObjectStats, existing: ObjectStats | None) -> str | None:
    """Return the reason to copy an object, or None if the existing one is the same."""
    if existing is None:
        return "new"
    if stats.get("size_bytes") != existing.get("size_bytes"):
        return "other size"
    if stats.checksum != existing.checksum:
        return "other checksum"
    if stats.get("content_type") != existing.get("content_type"):
        return "other content type"
    if metadata_of(stats) != metadata_of(existing):
        return "other user metadata"
    return None
