"""Deletions: what the source of a directory transfer lacks, and whole prefixes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.exceptions import ApiException
from lakefs_client.model.path_list import PathList
from lakefs_client.transfer.directory.listing import list_objects
from lakefs_client.transfer.directory.report import DirectoryEntry, EntryLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefs_client.model.object_error import ObjectError
    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.transfer.directory.job import DirectoryJob
    from lakefs_client.transfer.directory.paths import Filter
    from lakefs_client.transfer.directory.report import DirectoryReport
    from lakefs_client.uri import ObjectRef


class Surplus:
    """The objects that the source of a transfer lacks.

    Args:
        wanted: The paths to transfer. Other paths are not deleted either.
        prefix: Length of the prefix of the objects' paths.

    Attributes:
        entries: The objects to delete.
    """

    def __init__(self, wanted: Filter, prefix: int) -> None:
        self._wanted = wanted
        self._prefix = prefix
        self._links: set[str] = set()
        self.entries = EntryLog()

    def keep_below(self, path: str) -> None:
        """Keep the objects at and below the path of a symbolic link, which is left out."""
        self._links.add(path)

    def add(self, stats: ObjectStats) -> None:
        """Add an object, unless it is to be kept."""
        self.add_path(stats.path[self._prefix :], stats.get("size_bytes", 0))

    def add_path(self, path: str, size: int) -> None:
        """Add a path, unless it is to be kept."""
        if not path or self._wanted.excludes(path) or not self._wanted.includes(path):
            return
        if self._links:
            above = path
            while above:
                if above in self._links:
                    return
                above = above.rpartition("/")[0]
        self.entries.append(DirectoryEntry(path, "deleted", size, "not in the source"))


def delete_directory(job: DirectoryJob, target: ObjectRef, wanted: Filter) -> DirectoryReport:
    """Delete the objects below a prefix.

    Raises:
        ApiException: lakeFS has no such branch, or the request failed.
        Exception: As for `DirectoryJob.run`.
    """
    surplus = Surplus(wanted, len(target.path))
    for listed in list_objects(job.context, target):
        surplus.add(listed.stats)
    return delete_objects(job, target, surplus.entries)


def delete_objects(job: DirectoryJob, target: ObjectRef, entries: EntryLog) -> DirectoryReport:
    """Delete objects below a prefix, unless files failed. Raises as `DirectoryJob.delete`."""
    objects = ObjectsApi(job.context.client)

    def delete(batch: list[DirectoryEntry]) -> list[DirectoryEntry]:
        if job.dry_run:
            return batch
        paths = PathList([target.path + entry.path for entry in batch])
        try:
            found = objects.delete_objects(target.repository, target.ref, paths)
        except ApiException as error:
            failed: dict[str, Exception] = {entry.path: error for entry in batch}
        else:
            failed = _failures(found.errors, batch, len(target.path))
        for path, failure in failed.items():
            job.fail(path, failure)
        return [entry for entry in batch if entry.path not in failed]

    return job.delete(entries, delete)


def _failures(
    errors: Sequence[ObjectError], batch: list[DirectoryEntry], prefix: int
) -> dict[str, Exception]:
    """Return the failures of a request by path. A failure without a path is that of all."""
    failed: dict[str, Exception] = {}
    for item in errors:
        error = ApiException(item.status_code, item.message)
        paths = [item.path[prefix:]] if item.get("path") else [entry.path for entry in batch]
        failed |= dict.fromkeys(paths, error)
    return failed
